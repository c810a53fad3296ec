//! Published servers that start a browser, which neither the sandbox nor a container's image can run.

use super::images::program_name;
use crate::config::ServerConfig;
use crate::config::code_variables::changes_code;

/// A browser's first step is a socket for other programs of the user, which the sandbox closes. It would also need the display.
const PACKAGES: &[&str] = &[
    "@playwright/mcp",
    "chrome-devtools-mcp",
    "@modelcontextprotocol/server-puppeteer",
    "@executeautomation/playwright-mcp-server",
    "@automatalabs/mcp-server-playwright",
    "@agent-infra/mcp-server-browser",
    "@angiejones/mcp-selenium",
    "puppeteer-mcp-server",
];
/// Options that change nothing about what is run.
const PLAIN_OPTIONS: [&str; 4] = ["-y", "--yes", "-q", "--quiet"];

/// The package, if an entry runs exactly one of these from the public registry.
pub fn starts_browser(config: &ServerConfig) -> Option<&'static str> {
    let runs = matches!(program_name(config.command.as_deref().unwrap_or_default()), "npx" | "bunx" | "pnpx");
    let mut arguments = config.args.iter().map(String::as_str);
    let package = name(arguments.find(|argument| !PLAIN_OPTIONS.contains(argument)).unwrap_or_default());
    let is_public = runs && !config.env.keys().any(|variable| changes_code(variable));
    PACKAGES.iter().find(|known| is_public && **known == package).copied()
}

/// A package without its version. One with a URL, a path or another package in place of the version stays as it is.
fn name(package: &str) -> &str {
    let version = package.char_indices().skip(1).find(|(_, char)| *char == '@').map(|(at, _)| package.split_at(at));
    match version {
        Some((name, version))
            if version.chars().skip(1).all(|char| char.is_ascii_alphanumeric() || ".-+^~".contains(char)) =>
        {
            name
        }
        _ => package,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(line: &str, variable: &str) -> bool {
        let mut words = line.split(' ').map(str::to_owned);
        let config = ServerConfig {
            command: words.next(),
            args: words.collect(),
            env: BTreeMap::from([(variable.to_owned(), "x".to_owned())]),
            ..ServerConfig::default()
        };
        starts_browser(&config).is_some()
    }

    #[test]
    fn only_these_packages_count() {
        for line in [
            "npx @playwright/mcp",
            "npx -y @playwright/mcp@latest --headless",
            "/usr/bin/npx --yes chrome-devtools-mcp@1.11.0",
            "bunx @modelcontextprotocol/server-puppeteer",
        ] {
            assert!(of(line, "PLAYWRIGHT_BROWSERS_PATH"), "{line}");
        }
        for line in [
            "npx -y other @playwright/mcp",
            "npx -y @playwright/mcp-evil",
            "npx -y @playwright/mcp@npm:other",
            "npx -y @playwright/mcp@https://h.example/x.tgz",
            "npx --package other @playwright/mcp",
            "npx --registry=https://h.example @playwright/mcp",
            "node @playwright/mcp",
            "uvx chrome-devtools-mcp",
            "npx",
        ] {
            assert!(!of(line, "X"), "{line}");
        }
        assert!(!of("npx @playwright/mcp", "npm_config_registry") && !of("npx @playwright/mcp", "NODE_OPTIONS"));
    }
}
