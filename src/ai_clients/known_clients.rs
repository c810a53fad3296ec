//! The AI clients there are: where each keeps its configuration on each system, and how an entry reads there.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::ai_clients::entry::Proxy;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::Environment;

/// A program that people use AI with.
#[derive(Debug)]
pub struct Client {
    /// What REST and the command line call it.
    pub id: &'static str,
    /// The name that people know.
    pub name: &'static str,
    /// Of several that are there the first counts; of none the last.
    places: &'static [CandidatePath],
    pub format: Format,
    /// The key of the object that holds its servers.
    pub container: &'static str,
    pub entry: Entry,
}

/// How a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON; comments and trailing commas may be there and stay.
    Json,
    Toml,
    Yaml,
}

impl Format {
    /// What REST calls it.
    pub fn word(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Toml => "toml",
            Format::Yaml => "yaml",
        }
    }
}

/// How an entry for a server reads.
#[derive(Debug)]
pub enum Entry {
    Url {
        /// Pairs beside the address.
        fixed: &'static [(&'static str, Fixed)],
        address: &'static str,
        headers: &'static str,
    },
    /// A program that the client starts: it takes no address.
    Program,
}

/// What an entry says whatever the address.
#[derive(Debug)]
pub enum Fixed {
    Text(&'static str),
    Yes,
}

/// Where a client keeps its configuration.
#[derive(Debug)]
enum CandidatePath {
    /// Below the home directory, on every system.
    Home(&'static str),
    /// In the directory that a variable names, or else below the home directory.
    Variable(&'static str, &'static str, &'static str),
    /// Below the directory for settings: `~/.config` on Linux, `%APPDATA%` on Windows, `~/Library/Application Support`.
    Settings(&'static str),
    /// Below the directory for settings on Windows, and below `~/.config` elsewhere (macOS, too).
    Config {
        windows: &'static str,
        elsewhere: &'static str,
    },
}

/// What the paths depend on.
#[derive(Debug, Clone)]
pub struct Homes {
    pub platform: Platform,
    pub home: PathBuf,
    /// The system's directory for settings.
    pub settings: PathBuf,
    pub variables: Environment,
}

/// A file that a client keeps, or would keep, its configuration in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigPath {
    pub path: PathBuf,
    /// Another program's data to macOS: opening it unasked may put a question of the system before the person.
    pub guarded: bool,
}

/// What our entry is called, unless a person says otherwise.
pub const ENTRY_NAME: &str = "mcpproxy";

const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
const CODEX_HOME: &str = "CODEX_HOME";

/// Every client, in the order in which people are shown them.
pub const CLIENTS: [Client; 10] = [
    Client {
        id: "claude-code",
        name: "Claude Code",
        places: &[CandidatePath::Variable(
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
        places: &[CandidatePath::Settings("Claude/claude_desktop_config.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: Entry::Program,
    },
    Client {
        id: "cursor",
        name: "Cursor",
        places: &[CandidatePath::Home(".cursor/mcp.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: url("url"),
    },
    Client {
        id: "windsurf",
        name: "Windsurf",
        places: &[CandidatePath::Home(".codeium/windsurf/mcp_config.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: url("serverUrl"),
    },
    Client {
        id: "vscode",
        name: "VS Code",
        places: &[CandidatePath::Settings("Code/User/mcp.json")],
        format: Format::Json,
        container: "servers",
        entry: TYPED,
    },
    Client {
        id: "codex",
        name: "Codex",
        places: &[CandidatePath::Variable(CODEX_HOME, "config.toml", ".codex/config.toml")],
        format: Format::Toml,
        container: "mcp_servers",
        entry: Entry::Url {
            fixed: &[],
            address: "url",
            headers: "http_headers",
        },
    },
    Client {
        id: "gemini",
        name: "Gemini CLI",
        places: &[CandidatePath::Home(".gemini/settings.json")],
        format: Format::Json,
        container: "mcpServers",
        entry: url("httpUrl"),
    },
    Client {
        id: "opencode",
        name: "OpenCode",
        places: &[
            CandidatePath::Home(".config/opencode/opencode.jsonc"),
            CandidatePath::Home(".config/opencode/opencode.json"),
        ],
        format: Format::Json,
        container: "mcp",
        entry: Entry::Url {
            fixed: &[("type", Fixed::Text("remote"))],
            address: "url",
            headers: "headers",
        },
    },
    Client {
        id: "zed",
        name: "Zed",
        places: &[CandidatePath::Config {
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
        places: &[CandidatePath::Config {
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
            address: "uri",
            headers: "headers",
        },
    },
];

/// Of Claude Code and VS Code: `http` is the streamable one.
const TYPED: Entry = Entry::Url {
    fixed: &[("type", Fixed::Text("http"))],
    address: "url",
    headers: "headers",
};

const fn url(address: &'static str) -> Entry {
    Entry::Url {
        fixed: &[],
        address,
        headers: "headers",
    }
}

/// The client of an id.
pub fn client(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

/// Whether a variable moves a client's configuration.
pub fn moves_configuration(variable: &str) -> bool {
    [CLAUDE_CONFIG_DIR, CODEX_HOME].contains(&variable)
}

impl Client {
    /// The files it may keep its configuration in: of several that are there the first counts, of none the last.
    pub fn paths(&self, homes: &Homes) -> Vec<ConfigPath> {
        self.places.iter().map(|place| place.path(homes)).collect()
    }

    /// Whether its entry carries the key, where one is asked for.
    pub fn takes_key(&self) -> bool {
        matches!(self.entry, Entry::Url { .. })
    }

    /// The entry that leads to `proxy`.
    ///
    /// # Errors
    /// A sentence: why there is none.
    pub fn entry(&self, proxy: &Proxy) -> Result<Map<String, Value>, String> {
        let Entry::Url {
            fixed,
            address,
            headers,
        } = self.entry
        else {
            return proxy.bridge.entry();
        };
        let mut entry = Map::new();
        entry.extend(fixed.iter().map(|(key, value)| match value {
            Fixed::Text(text) => ((*key).to_owned(), json!(text)),
            Fixed::Yes => ((*key).to_owned(), json!(true)),
        }));
        entry.insert(address.to_owned(), json!(proxy.url()));
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
