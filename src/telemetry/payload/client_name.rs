//! Names of MCP clients: sanitised before they are stored, and replaced by a value of a closed list before they are
//! sent.

/// Stands for a missing, malicious or malformed name.
pub const UNKNOWN: &str = "unknown";
/// Stands for a well-formed name that is not in [`KNOWN`]: `acme-payroll-agent` would reveal an employer.
pub const OTHER: &str = "other";

/// The names that may be sent: those that published MCP clients use in `clientInfo.name`, their product names, and the
/// two above. Sorted.
pub const KNOWN: &[&str] = &[
    "5ire",
    "aider",
    "amazon-q",
    "amazon-q-cli",
    "amazon-q-developer",
    "amazonq",
    "amp",
    "android-studio",
    "antigravity",
    "antigravity-client",
    "anythingllm",
    "auggie",
    "augment",
    "augment-code",
    "bolt",
    "boltai",
    "chatbox",
    "chatgpt",
    "chatgpt-desktop",
    "chatwise",
    "cherry-studio",
    "cherrystudio",
    "claude",
    "claude-ai",
    "claude-code",
    "claude-code-acp",
    "claude-desktop",
    "cline",
    "codebuddy",
    "codegpt",
    "codeium",
    "codex",
    "codex-cli",
    "codex-desktop",
    "codex-mcp-client",
    "codex-vscode",
    "cody",
    "continue",
    "continue-cli",
    "continue-cli-client",
    "continue-client",
    "copilot",
    "copilot-cli",
    "copilot-coding-agent",
    "crush",
    "cursor",
    "cursor-agent",
    "cursor-cli",
    "cursor-vscode",
    "cursor-vscode-insiders",
    "devin",
    "droid",
    "emacs",
    "enconvo",
    "example-client",
    "factory",
    "factory-cli",
    "fast-agent",
    "fast-agent-mcp",
    "firebase-studio",
    "gemini",
    "gemini-cli",
    "gemini-cli-client",
    "gemini-cli-mcp-client",
    "genkit",
    "github-copilot",
    "github-copilot-chat",
    "github-copilot-cli",
    "github-copilot-developer",
    "goland",
    "goose",
    "goose-cli",
    "goose-desktop",
    "hermes",
    "highlight",
    "inspector",
    "intellij",
    "jan",
    "jetbrains",
    "jetbrains-ai",
    "junie",
    "kilo",
    "kilo-code",
    "kilocode",
    "kimi-cli",
    "kiro",
    "kiro-cli",
    "langchain",
    "langgraph",
    "le-chat",
    "librechat",
    "librechat-mcp-client",
    "llamaindex",
    "lm-studio",
    "lmstudio",
    "lmstudio-mcp-bridge",
    "lovable",
    "manus",
    "mastra",
    "mcp",
    "mcp-cli",
    "mcp-client",
    "mcp-client-cli",
    "mcp-inspector",
    "mcp-remote",
    "mcp-typescript-client",
    "mcphost",
    "mcphub",
    "mcphub.nvim",
    "mcpjam",
    "mcpjam-inspector",
    "mcpproxy",
    "mcpproxy-go",
    "mcpproxy-tray",
    "msty",
    "n8n",
    "neovim",
    "nx-console",
    "oh-my-pi",
    "open-webui",
    "openai-agents",
    "openai-mcp",
    "openclaw",
    "opencode",
    "openhands",
    "openwork",
    "other",
    "perplexity",
    "pi",
    "poe",
    "postman",
    "pycharm",
    "pydantic-ai",
    "q-dev-cli",
    "qoder",
    "qodo",
    "qodo-gen",
    "qwen-cli-mcp-client",
    "qwen-code",
    "raycast",
    "replit",
    "rider",
    "rmcp",
    "roo-cline",
    "roo-code",
    "rovo-dev",
    "semantic-kernel",
    "smithery",
    "sourcegraph",
    "sourcegraph-cody",
    "spring-ai",
    "tabnine",
    "test-client",
    "theia",
    "theiaide",
    "tome",
    "trae",
    "trae-client",
    "unknown",
    "v0",
    "vercel-ai",
    "visual-studio",
    "visual-studio-code",
    "visual-studio-code-insiders",
    "visualstudio",
    "void",
    "vs-code",
    "vscode",
    "vscode-copilot",
    "vscode-insiders",
    "warp",
    "warp-terminal",
    "webstorm",
    "windsurf",
    "windsurf-client",
    "windsurf-editor",
    "witsy",
    "xcode",
    "zed",
    "zed-industries",
    "zencoder",
];

/// A client's name in the form in which it is stored: `[a-z0-9][a-z0-9-_.]{0,63}`, else [`UNKNOWN`].
///
/// Like the Go core, replaces a path, a URL, white space or any other malformed name instead of repairing it. Does
/// not read a name of more than 256 bytes.
pub fn sanitise(name: Option<&str>) -> String {
    const LONGEST: usize = 64;
    let Some(name) = name else { return UNKNOWN.into() };
    // Also limits the time to trim a megabyte of spaces.
    let Some(head) = name.as_bytes().get(..name.len().min(4 * LONGEST)) else {
        return UNKNOWN.into();
    };
    if name.len() > head.len() {
        return UNKNOWN.into();
    }
    let name = name.trim().to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if starts && name.len() <= LONGEST && name.bytes().all(plain) && !name.contains("..") {
        name
    } else {
        UNKNOWN.into()
    }
}

/// The value to send for a stored name: the name itself if it is in [`KNOWN`], else [`OTHER`] or [`UNKNOWN`].
pub fn word(kept: &str) -> &'static str {
    KNOWN.iter().find(|known| **known == kept).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_kept_in_lower_case() {
        assert_eq!(sanitise(Some(" Claude-Code ")), "claude-code");
        assert_eq!(sanitise(Some("mcphub.nvim")), "mcphub.nvim");
        assert_eq!(sanitise(Some(&"a".repeat(64))), "a".repeat(64));
    }

    #[test]
    fn a_hostile_name_is_unknown_and_never_kept_raw() {
        let megabyte = "a".repeat(1 << 20);
        let blank = " ".repeat(1 << 20);
        for name in [
            "",
            "  ",
            "/Users/ann/agent",
            r"C:\Users\ann",
            "ann@example.org",
            "my client",
            "a..b",
            "-a",
            ".a",
            "a\u{0}b",
            "a\nb",
            "クライアント",
            "a\u{200b}b",
            &"a".repeat(65),
            &megabyte,
            &blank,
        ] {
            assert_eq!(sanitise(Some(name)), UNKNOWN, "{:?}", name.get(..10.min(name.len())));
        }
        assert_eq!(sanitise(None), UNKNOWN);
    }

    #[test]
    fn only_published_names_leave() {
        assert_eq!(word("cursor"), "cursor");
        assert_eq!(word("acme-payroll-agent"), OTHER);
        assert_eq!(word(UNKNOWN), UNKNOWN);
    }

    #[test]
    fn every_published_name_survives_sanitising() {
        for name in KNOWN {
            assert_eq!(sanitise(Some(name)), **name);
        }
    }
}
