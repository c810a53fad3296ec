//! The supported AI clients: where each keeps its configuration on each system, and the shape of an entry.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::ai_clients::entry::Proxy;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::contract::words::FileFormat;
use crate::os::environment::Environment;

/// A supported AI client.
#[derive(Debug)]
pub struct Client {
    /// The ID in REST and on the command line.
    pub id: &'static str,
    /// The product name.
    pub name: &'static str,
    /// The first existing file is used; if none exists, the last.
    paths: &'static [CandidatePath],
    pub format: Format,
    /// The key of the object that holds its servers.
    pub container: &'static str,
    pub entry: Entry,
}

/// The format of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, possibly with comments and trailing commas.
    Json,
    Toml,
    Yaml,
}

impl From<Format> for FileFormat {
    fn from(format: Format) -> FileFormat {
        match format {
            Format::Json => FileFormat::Json,
            Format::Toml => FileFormat::Toml,
            Format::Yaml => FileFormat::Yaml,
        }
    }
}

/// The shape of a server's entry.
#[derive(Debug)]
pub enum Entry {
    Url {
        /// Constant fields.
        fixed: &'static [(&'static str, Fixed)],
        /// The key of the URL.
        url: &'static str,
        headers: &'static str,
    },
    /// The client only starts programs.
    Program,
}

/// A constant value in an entry.
#[derive(Debug)]
pub enum Fixed {
    Text(&'static str),
    Yes,
}

/// A path where a client may keep its configuration.
#[derive(Debug)]
enum CandidatePath {
    /// Below the home directory, on every system.
    Home(&'static str),
    /// In the directory that an environment variable names, otherwise below the home directory.
    Variable(&'static str, &'static str, &'static str),
    /// Below the settings directory: `~/.config` on Linux, `%APPDATA%` on Windows, `~/Library/Application Support` on macOS.
    Settings(&'static str),
    /// Below the settings directory on Windows, and below `~/.config` elsewhere (including macOS).
    Config {
        windows: &'static str,
        elsewhere: &'static str,
    },
}

/// The directories and variables that determine the paths.
#[derive(Debug, Clone)]
pub struct Homes {
    pub platform: Platform,
    pub home: PathBuf,
    /// The settings directory of the system.
    pub settings: PathBuf,
    pub variables: Environment,
}

/// The path of a client's configuration file, which need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigPath {
    pub path: PathBuf,
    /// On macOS, reading another program's data may show a permission prompt, so it is read only on request.
    pub guarded: bool,
}

/// The default name of our entry.
pub const ENTRY_NAME: &str = "mcpproxy";

const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
const CODEX_HOME: &str = "CODEX_HOME";

/// All clients, in display order.
pub const CLIENTS: [Client; 10] = [
    Client {
        id: "claude-code",
        name: "Claude Code",
        paths: &[CandidatePath::Variable(
            CLAUDE_CONFIG_DIR,
            ".claude.json",
            ".claude.json",
        )],
        format: Format::Json,
        container: "mcpServers",
        entry: TYPED,
    },
    Client {
        id: "claude-desktop",
        name: "Claude Desktop",
        paths: &[CandidatePath::Settings("Claude/claude_desktop_config.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: Entry::Program,
    },
    Client {
        id: "cursor",
        name: "Cursor",
        paths: &[CandidatePath::Home(".cursor/mcp.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: url("url"),
    },
    Client {
        id: "windsurf",
        name: "Windsurf",
        paths: &[CandidatePath::Home(".codeium/windsurf/mcp_config.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: url("serverUrl"),
    },
    Client {
        id: "vscode",
        name: "VS Code",
        paths: &[CandidatePath::Settings("Code/User/mcp.json")],
        format: Format::Json,
        container: "servers",
        entry: TYPED,
    },
    Client {
        id: "codex",
        name: "Codex",
        paths: &[CandidatePath::Variable(CODEX_HOME, "config.toml", ".codex/config.toml")],
        format: Format::Toml,
        container: "mcp_servers",
        entry: Entry::Url {
            fixed: &[],
            url: "url",
            headers: "http_headers",
        },
    },
    Client {
        id: "gemini",
        name: "Gemini CLI",
        paths: &[CandidatePath::Home(".gemini/settings.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: url("httpUrl"),
    },
    Client {
        id: "opencode",
        name: "OpenCode",
        paths: &[
            CandidatePath::Home(".config/opencode/opencode.jsonc"),
            CandidatePath::Home(".config/opencode/opencode.json"),
        ],
        format: Format::Json,
        container: "mcp",
        entry: Entry::Url {
            fixed: &[("type", Fixed::Text("remote"))],
            url: "url",
            headers: "headers",
        },
    },
    Client {
        id: "zed",
        name: "Zed",
        paths: &[CandidatePath::Config {
            windows: "Zed/settings.json",
            elsewhere: "zed/settings.json",
        }],
        format: Format::Json,
        container: "context_servers",
        entry: url("url"),
    },
    Client {
        id: "goose",
        name: "Goose",
        paths: &[CandidatePath::Config {
            windows: "Block/goose/config/config.yaml",
            elsewhere: "goose/config.yaml",
        }],
        format: Format::Yaml,
        container: "extensions",
        entry: Entry::Url {
            fixed: &[
                ("enabled", Fixed::Yes),
                ("type", Fixed::Text("streamable_http")),
                ("name", Fixed::Text(ENTRY_NAME)),
                ("description", Fixed::Text("Every MCP server behind MCPProxy")),
            ],
            url: "uri",
            headers: "headers",
        },
    },
];

/// The entry of Claude Code and VS Code. `http` means streamable HTTP.
const TYPED: Entry = Entry::Url {
    fixed: &[("type", Fixed::Text("http"))],
    url: "url",
    headers: "headers",
};

const fn url(url: &'static str) -> Entry {
    Entry::Url {
        fixed: &[],
        url,
        headers: "headers",
    }
}

/// The client with this ID.
pub fn client(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

/// Whether an environment variable changes the path of a client's configuration.
pub fn moves_configuration(variable: &str) -> bool {
    [CLAUDE_CONFIG_DIR, CODEX_HOME].contains(&variable)
}

impl Client {
    /// The candidate files: the first existing one is used, or the last if none exists.
    pub fn paths(&self, homes: &Homes) -> Vec<ConfigPath> {
        self.paths.iter().map(|candidate| candidate.path(homes)).collect()
    }

    /// Whether its entry contains the key, if one is required.
    pub fn takes_key(&self) -> bool {
        matches!(self.entry, Entry::Url { .. })
    }

    /// The entry that points to `proxy`.
    ///
    /// # Errors
    /// A sentence that says why it cannot be built.
    pub fn entry(&self, proxy: &Proxy) -> Result<Map<String, Value>, String> {
        let Entry::Url { fixed, url, headers } = self.entry else {
            // It starts a program that serves the usual endpoint: it must not see more than it was given.
            if proxy.profile.is_some() {
                let problem = "this client starts MCPProxy as a program, for which no profile can be chosen; choose the \
                    profile of all such clients with `mcpproxy profile use`";
                return Err(problem.to_owned());
            }
            return proxy.bridge.entry();
        };
        let mut entry = Map::new();
        entry.extend(fixed.iter().map(|(key, value)| match value {
            Fixed::Text(text) => ((*key).to_owned(), json!(text)),
            Fixed::Yes => ((*key).to_owned(), json!(true)),
        }));
        entry.insert(url.to_owned(), json!(proxy.url()));
        if let Some(key) = &proxy.key {
            entry.insert(headers.to_owned(), json!({names::HEADER_API_KEY: key}));
        }
        Ok(entry)
    }
}

impl CandidatePath {
    fn path(&self, homes: &Homes) -> ConfigPath {
        let windows = homes.platform == Platform::Windows;
        let (path, guarded) = match self {
            CandidatePath::Home(below) => (homes.home.join(below), false),
            CandidatePath::Variable(variable, file, below) => match homes.variables.non_empty(variable) {
                Some(directory) => (Path::new(directory).join(file), false),
                None => (homes.home.join(below), false),
            },
            CandidatePath::Settings(below) => (homes.settings.join(below), homes.platform == Platform::MacOs),
            CandidatePath::Config { windows: below, .. } if windows => (homes.settings.join(below), false),
            CandidatePath::Config { elsewhere, .. } if homes.platform == Platform::MacOs => {
                (homes.home.join(".config").join(elsewhere), false)
            }
            CandidatePath::Config { elsewhere, .. } => (homes.settings.join(elsewhere), false),
        };
        ConfigPath { path, guarded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai_clients::stdio_entry::Bridge;

    fn homes(platform: Platform, home: &str, settings: &str) -> Homes {
        Homes {
            platform,
            home: home.into(),
            settings: settings.into(),
            variables: Environment::default(),
        }
    }

    fn paths(homes: &Homes) -> Vec<(&'static str, String)> {
        let shown = |path: &ConfigPath| path.path.to_string_lossy().replace('\\', "/");
        CLIENTS.iter().map(|client| (client.id, shown(client.paths(homes).last().unwrap()))).collect()
    }

    #[test]
    fn every_client_has_its_path_on_linux() {
        let expected = [
            ("claude-code", "/home/a/.claude.json"),
            ("claude-desktop", "/home/a/.config/Claude/claude_desktop_config.json"),
            ("cursor", "/home/a/.cursor/mcp.json"),
            ("windsurf", "/home/a/.codeium/windsurf/mcp_config.json"),
            ("vscode", "/home/a/.config/Code/User/mcp.json"),
            ("codex", "/home/a/.codex/config.toml"),
            ("gemini", "/home/a/.gemini/settings.json"),
            ("opencode", "/home/a/.config/opencode/opencode.json"),
            ("zed", "/home/a/.config/zed/settings.json"),
            ("goose", "/home/a/.config/goose/config.yaml"),
        ];
        let found = paths(&homes(Platform::Linux, "/home/a", "/home/a/.config"));
        assert_eq!(found, expected.map(|(id, path)| (id, path.to_owned())));
    }

    #[test]
    fn what_moves_on_macos_and_windows_moves() {
        let settings = "/Users/a/Library/Application Support";
        let on = |platform, home, settings, id| {
            let found = paths(&homes(platform, home, settings)).into_iter().find(|(client, _)| *client == id);
            found.map(|(_, path)| path).unwrap()
        };
        let mac = |id| on(Platform::MacOs, "/Users/a", settings, id);
        assert_eq!(mac("claude-desktop"), format!("{settings}/Claude/claude_desktop_config.json"));
        assert_eq!(mac("vscode"), format!("{settings}/Code/User/mcp.json"));
        assert_eq!(mac("zed"), "/Users/a/.config/zed/settings.json");
        assert_eq!(mac("goose"), "/Users/a/.config/goose/config.yaml");
        let windows = |id| on(Platform::Windows, "C:/Users/a", "C:/Users/a/AppData/Roaming", id);
        assert_eq!(windows("claude-code"), "C:/Users/a/.claude.json");
        assert_eq!(windows("vscode"), "C:/Users/a/AppData/Roaming/Code/User/mcp.json");
        assert_eq!(windows("zed"), "C:/Users/a/AppData/Roaming/Zed/settings.json");
        assert_eq!(windows("goose"), "C:/Users/a/AppData/Roaming/Block/goose/config/config.yaml");
    }

    #[test]
    fn only_on_macos_is_another_programs_data_guarded() {
        for (platform, expected) in [(Platform::MacOs, 2), (Platform::Linux, 0), (Platform::Windows, 0)] {
            let homes = homes(platform, "/Users/a", "/Users/a/Library/Application Support");
            let guarded = CLIENTS.iter().filter(|client| client.paths(&homes).iter().any(|path| path.guarded));
            assert_eq!(guarded.count(), expected, "{platform:?}");
        }
    }

    #[test]
    fn a_variable_moves_a_clients_configuration() {
        let variables = [("CODEX_HOME", "/opt/codex"), ("CLAUDE_CONFIG_DIR", "/opt/claude")];
        let homes = Homes {
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..homes(Platform::Linux, "/home/a", "/home/a/.config")
        };
        let path = |id| client(id).unwrap().paths(&homes).remove(0).path;
        assert_eq!(path("codex"), Path::new("/opt/codex/config.toml"));
        assert_eq!(path("claude-code"), Path::new("/opt/claude/.claude.json"));
    }

    #[test]
    fn the_key_is_a_header_and_never_part_of_the_address_or_of_arguments() {
        let entry = |client: &Client, asks| {
            client.entry(&Proxy::new("127.0.0.1:8080", asks, Some("secret"), Bridge::sample())).unwrap()
        };
        for client in &CLIENTS {
            let asked = entry(client, true);
            let with_key: Vec<&Value> = asked.values().filter(|value| value.to_string().contains("secret")).collect();
            let header = json!({"X-API-Key": "secret"});
            let expected: &[&Value] = if client.takes_key() { &[&header] } else { &[] };
            assert_eq!(with_key, expected, "{}", client.id);
            assert!(!Value::Object(entry(client, false)).to_string().contains("secret"), "{}", client.id);
        }
    }

    #[test]
    fn claude_desktop_starts_our_program_and_is_refused_in_words_where_that_cannot_be_found() {
        let desktop = client("claude-desktop").unwrap();
        let bridge = |program| Bridge {
            program,
            ..Bridge::sample()
        };
        let entry = |bridge| desktop.entry(&Proxy::new("0.0.0.0:8080", true, Some("secret"), bridge));
        let program = r"C:\Program Files\MCPProxy\mcpproxy.exe";
        let expected = json!({"command": program, "args": ["stdio"]});
        assert_eq!(entry(bridge(Ok(program.into()))).map(Value::Object), Ok(expected));
        assert!(entry(bridge(Err("it is gone".into()))).unwrap_err().contains("it is gone"));
    }
}
