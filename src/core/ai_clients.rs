//! The AI clients whose configuration may name this proxy, and where each keeps it (contract: mcp-tools §4).

use std::path::{Path, PathBuf};

use crate::contract::endpoint::client_host;
use crate::contract::names;
use crate::contract::platform::Platform;

/// Where a client keeps its configuration.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Below the home directory, on every system.
    Home(&'static str),
    /// Below the directory for settings: `~/.config` on Linux, `%APPDATA%` on Windows.
    ///
    /// On macOS such a file is another program's data, and opening it in the background may put a question of the
    /// system before the person: it is not looked at there.
    Settings(&'static str),
}

/// Claude Code, Claude Desktop, Cursor, Windsurf, VS Code, Codex, Gemini CLI, OpenCode, Zed, Goose.
const CLIENTS: [&[Place]; 10] = [
    &[Place::Home(".claude.json")],
    &[Place::Settings("Claude/claude_desktop_config.json")],
    &[Place::Home(".cursor/mcp.json")],
    &[Place::Home(".codeium/windsurf/mcp_config.json")],
    &[Place::Settings("Code/User/mcp.json")],
    &[Place::Home(".codex/config.toml")],
    &[Place::Home(".gemini/settings.json")],
    &[
        Place::Home(".config/opencode/opencode.jsonc"),
        Place::Home(".config/opencode/opencode.json"),
    ],
    &[Place::Settings("zed/settings.json")],
    &[Place::Settings("goose/config.yaml")],
];

/// Each client's files on a system; the first that is there counts.
pub fn files(platform: Platform, home: &Path, settings: Option<&Path>) -> Vec<Vec<PathBuf>> {
    let path = |place: &Place| match place {
        Place::Home(below) => Some(home.join(below)),
        Place::Settings(_) if platform == Platform::MacOs => None,
        Place::Settings(below) => settings.map(|settings| settings.join(below)),
    };
    CLIENTS.iter().map(|places| places.iter().filter_map(path).collect()).collect()
}

/// Whether a configuration's text names the proxy that listens on `listen`, however its host is written.
pub fn names_proxy(text: &str, listen: &str) -> bool {
    let address = client_host(listen);
    let Some((_, port)) = address.rsplit_once(':') else { return false };
    let plain = text.replace("\\/", "/");
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        address.rsplit_once(':').map_or("", |(host, _)| host),
    ]
    .iter()
    .any(|host| {
        let url = format!("://{host}:{port}{}", names::MCP_PATH);
        plain.match_indices(&url).any(|(at, found)| {
            let after = plain.get(at + found.len()..).and_then(|rest| rest.chars().next());
            // `/mcp-other` is another server's address.
            !after.is_some_and(|next| next.is_alphanumeric() || matches!(next, '-' | '_' | '.'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_in_any_spelling_of_loopback() {
        for text in [
            r#"{"mcpServers":{"mcpproxy":{"url":"http://127.0.0.1:8080/mcp"}}}"#,
            r#"{"url":"http:\/\/localhost:8080\/mcp"}"#,
            "[mcp_servers.mcpproxy]\nurl = \"http://localhost:8080/mcp?apikey=x\"\n",
            r#"{"args":["-y","mcp-remote","http://[::1]:8080/mcp/"]}"#,
        ] {
            assert!(names_proxy(text, "127.0.0.1:8080"), "{text}");
        }
        assert!(names_proxy("http://localhost:9000/mcp", ":9000"));
    }

    #[test]
    fn another_port_another_path_and_a_mere_mention_do_not_count() {
        for text in [
            "http://127.0.0.1:80801/mcp",
            "http://127.0.0.1:8081/mcp",
            "http://127.0.0.1:8080/mcp-other",
            "mcpproxy",
        ] {
            assert!(!names_proxy(text, "127.0.0.1:8080"), "{text}");
        }
    }

    #[test]
    fn on_macos_no_other_programs_data_is_opened() {
        let files =
            files(Platform::MacOs, Path::new("/Users/a"), Some(Path::new("/Users/a/Library/Application Support")));
        assert!(files.iter().flatten().all(|path| !path.starts_with("/Users/a/Library")));
        assert_eq!(files.iter().filter(|places| !places.is_empty()).count(), 6);
    }
}
