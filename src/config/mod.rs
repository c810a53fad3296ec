//! `mcp_config.json`, in the format of the Go core.
//!
//! Only the settings that this core uses have types. All other keys stay in the `document` and are written back
//! unchanged.

pub mod code_variables;
mod deserialize;
pub mod document;
mod edit_profiles;
pub mod environment_filter;
pub mod isolation;
pub mod new_server;
pub mod profiles;
pub mod references;
pub mod registries;
pub mod schema;
pub mod server;
pub mod serving;
pub mod setting_groups;
pub mod store;
pub mod switches;
pub mod trust;

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::activity::{Bodies, BodyPolicy, Retention};
use crate::config::deserialize::{null_as_default, null_as_yes, optional_duration, string_or_none, without_nulls, yes};
use crate::config::environment_filter::EnvironmentFilter;
use crate::config::isolation::IsolationKeys;
use crate::config::profiles::ProfileConfig;
use crate::config::registries::RegistryConfig;
use crate::config::server::servers;
use crate::config::serving::{Concurrency, RoutingMode, TlsConfig};
use crate::contract::names;
use crate::scan::sensitive::Policy;
use crate::updates::policy::UpdateCheck;

pub use crate::config::server::{OauthConfig, Protocol, ServerConfig};

/// The settings that MCPProxy uses. Other keys are kept as they are.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(expecting = "an object of settings")]
pub struct Config {
    /// Address that MCPProxy listens on, `host:port`. `:port` means every network interface.
    #[serde(default = "default_listen", deserialize_with = "string_or_default_listen")]
    #[schemars(with = "Option<String>", title = "Address and port")]
    pub listen: String,
    /// `unix://…` or `npipe://…` URL of the local socket, instead of the one in the data directory.
    #[serde(default)]
    #[schemars(title = "URL of the local socket")]
    pub tray_endpoint: Option<String>,
    /// Opens the local socket (a named pipe on Windows) for the tray app and the command line.
    #[serde(default = "yes", deserialize_with = "null_as_yes")]
    #[schemars(with = "Option<bool>", extend("default" = true), title = "Local socket")]
    pub enable_socket: bool,
    /// Key for REST over TCP, sent as the header `X-API-Key`. Generated and saved if missing.
    #[serde(default)]
    #[schemars(title = "API key")]
    pub api_key: Option<String>,
    /// Requires the key for `/mcp`, too. Always on if `listen` is not a loopback address.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "AI clients need the API key")]
    pub require_mcp_auth: bool,
    /// Host names that `/mcp` accepts besides loopback names.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Trusted host names")]
    pub trusted_hosts: Vec<String>,
    /// The servers whose tools MCPProxy offers.
    #[serde(default, rename = "mcpServers", deserialize_with = "servers")]
    #[schemars(with = "Option<Vec<ServerConfig>>", title = "Servers")]
    pub servers: Vec<ServerConfig>,
    /// Hides the tools that manage servers from AI clients.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Hide server management")]
    pub disable_management: bool,
    /// The older name of `disable_management`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Read-only mode")]
    pub read_only_mode: bool,
    /// Offers the tools that manage servers to every AI client. Without it, a client gets them at `/mcp?management=true`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Offer server management")]
    pub enable_management_tools: bool,
    /// Size, in tokens, of all tools together up to which `/mcp` offers them directly instead of the search. 0 turns
    /// this off.
    #[serde(default = "default_direct_up_to_tokens")]
    #[schemars(with = "Option<usize>", title = "Offer tools without a search up to")]
    pub direct_up_to_tokens: usize,
    /// Lets AI clients add servers. Such a server needs approval.
    #[serde(default = "yes", deserialize_with = "null_as_yes")]
    #[schemars(with = "Option<bool>", extend("default" = true), title = "AI clients may add servers")]
    pub allow_server_add: bool,
    /// Lets AI clients remove servers.
    #[serde(default = "yes", deserialize_with = "null_as_yes")]
    #[schemars(with = "Option<bool>", extend("default" = true), title = "AI clients may remove servers")]
    pub allow_server_remove: bool,
    /// Servers that a command or program adds, and new or changed tools, are off until you approve them.
    #[serde(default)]
    #[schemars(title = "New servers and tools need approval", extend("default" = true))]
    pub quarantine_enabled: Option<bool>,
    /// Number of tools in a search result if the client does not ask for a number: 1 to 100. Larger values mean 100, 0
    /// means the default.
    #[serde(default = "default_tools_limit", deserialize_with = "tools_limit")]
    #[schemars(with = "Option<usize>", range(max = 1000), title = "Tools per search result")]
    pub tools_limit: usize,
    /// Longest text of a result, in characters, before it is cut; also the longest search result. 0 means no limit.
    #[serde(default = "default_response_limit", deserialize_with = "response_limit")]
    #[schemars(with = "Option<usize>", title = "Longest result")]
    pub tool_response_limit: usize,
    /// Detail of a search result if the client does not choose: `full` or `compact`. By default the best two tools are
    /// in full.
    #[serde(default)]
    #[schemars(title = "Detail of search results", extend("enum" = ["full", "compact", null]))]
    pub tool_response_mode: Option<String>,
    /// Longest duration of a tool call, such as `90s` or `2m`.
    #[serde(default = "default_call_timeout", deserialize_with = "duration")]
    #[schemars(with = "Option<String>", extend("default" = "2m"), title = "Longest tool call")]
    pub call_tool_timeout: Duration,
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<IntentDeclaration>", title = "Checks of calls")]
    pub intent_declaration: IntentDeclaration,
    /// Isolation of servers whose entries do not set it.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<IsolationKeys>", title = "Isolation")]
    pub docker_isolation: IsolationKeys,
    /// Which environment variables servers receive.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<EnvironmentFilter>", title = "Environment variables")]
    pub environment: EnvironmentFilter,
    /// Named sets of servers, each with an endpoint of its own: `/mcp/p/NAME`.
    #[serde(default, deserialize_with = "without_nulls")]
    #[schemars(with = "Option<Vec<ProfileConfig>>", title = "Profiles")]
    pub profiles: Vec<ProfileConfig>,
    /// The profile of sessions that choose none. Without it, they see all servers.
    #[serde(default, deserialize_with = "string_or_none")]
    #[schemars(title = "Default profile")]
    pub active_profile: Option<String>,
    /// What `/mcp` offers: `retrieve_tools` (a search) or `direct` (every tool).
    #[serde(default)]
    #[schemars(with = "Option<String>", title = "Tools at the main endpoint", extend("default" = "retrieve_tools", "enum" = ["retrieve_tools", "direct", null]))]
    pub routing_mode: RoutingMode,
    /// HTTPS on the TCP address.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<TlsConfig>", title = "HTTPS")]
    pub tls: TlsConfig,
    /// How many calls of all servers together run at once. 0 means any number.
    #[serde(default)]
    #[schemars(title = "Calls at once")]
    pub max_concurrent_requests: Option<usize>,
    /// How many calls wait if that many run. The next is refused.
    #[serde(default)]
    #[schemars(title = "Waiting calls")]
    pub queue_size: Option<usize>,
    /// Longest wait of a call, such as `30s`; then it is refused.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>", title = "Longest wait of a call")]
    pub queue_timeout: Option<Duration>,
    /// The same limits for each server whose entry does not set them.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Concurrency>", title = "Limits of each server")]
    pub server_concurrency_defaults: Concurrency,
    /// Stores arguments and results in the activity log: `off`, `redacted` or `full`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Bodies>", title = "Contents of calls")]
    pub activity_bodies: Bodies,
    /// How many days the activity log keeps its records. 0 means the default.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<u32>", extend("default" = 30), title = "Days to keep activity")]
    pub activity_retention_days: u32,
    /// Largest size of the activity log, in MB; the oldest entries are deleted first. 0 means the default.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<u32>", extend("default" = 256), title = "Largest activity log (MB)")]
    pub activity_max_size_mb: u32,
    /// Action on arguments or results that hold something like a secret.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Policy>", title = "Sensitive data in calls")]
    pub sensitive_data: Policy,
    /// Registries to search for servers. By default the official one. None is contacted before you search.
    #[serde(default)]
    #[schemars(title = "Registries")]
    pub registries: Option<Vec<RegistryConfig>>,
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<TelemetryConfig>", title = "Usage reports")]
    pub telemetry: TelemetryConfig,
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<UpdateCheck>", title = "Updates")]
    pub update_check: UpdateCheck,
}

/// Checks of a call against what the server says about its tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct IntentDeclaration {
    /// Refuses a tool that its server marks as destructive, unless it is called with `call_tool_destructive`.
    #[serde(default = "yes", deserialize_with = "null_as_yes")]
    #[schemars(with = "Option<bool>", extend("default" = true), title = "Protect destructive tools")]
    pub strict_server_validation: bool,
}

impl Default for IntentDeclaration {
    fn default() -> IntentDeclaration {
        IntentDeclaration {
            strict_server_validation: true,
        }
    }
}

/// Anonymous usage reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TelemetryConfig {
    /// Sends anonymous usage reports, once you have seen the notice about them; `false` turns them off.
    #[serde(default)]
    #[schemars(title = "Anonymous usage reports")]
    pub enabled: Option<bool>,
    /// Random UUIDv4 of this installation.
    #[serde(default)]
    #[schemars(title = "Installation ID")]
    pub anonymous_id: Option<String>,
    /// When the identifier was created (RFC 3339).
    #[serde(default)]
    #[schemars(title = "Installation ID created")]
    pub anonymous_id_created_at: Option<String>,
    /// Version in the last accepted report.
    #[serde(default)]
    #[schemars(title = "Last reported version")]
    pub last_reported_version: Option<String>,
    /// The user has seen the notice. No report is sent before.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Notice about reports")]
    pub notice_shown: bool,
    /// URL of the collector. Without one, nothing is sent.
    #[serde(default)]
    #[schemars(title = "Collector")]
    pub endpoint: Option<String>,
}

/// Why a configuration cannot be used, with the position of the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`, line {line}, column {column}: {problem}", path.display())]
pub struct ConfigError {
    pub path: PathBuf,
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

impl Config {
    /// Whether new servers and new tools need approval.
    pub fn quarantines(&self) -> bool {
        self.quarantine_enabled != Some(false)
    }

    /// Reads a configuration. Empty text means all defaults.
    ///
    /// # Errors
    /// [`ConfigError`] with the position of the first error.
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // serde would accept an array as the fields in order.
        if text.trim_start().starts_with('[') {
            let (line, column) = position(text, "[");
            let problem = "expected an object of settings, found an array".to_owned();
            return Err(ConfigError {
                path: path.to_path_buf(),
                line,
                column,
                problem,
            });
        }
        let mut config: Config = serde_json::from_str(text).map_err(|error| ConfigError {
            path: path.to_path_buf(),
            line: error.line(),
            column: error.column(),
            problem: sentence(&error),
        })?;
        if !config.quarantines() {
            for server in &mut config.servers {
                server.trust_mode = Some("auto".to_owned());
            }
        }
        for server in &mut config.servers {
            server.isolation = server.isolation_keys.within(&config.docker_isolation);
            server.environment = config.environment.clone();
        }
        match config.semantic_error() {
            None => Ok(config),
            Some((needle, problem)) => {
                let (line, column) = position(text, &needle);
                Err(ConfigError {
                    path: path.to_path_buf(),
                    line,
                    column,
                    problem,
                })
            }
        }
    }

    /// The policy for the contents of a server's calls.
    pub fn body_policy(&self, server: &str) -> BodyPolicy {
        let entry = self.servers.iter().find(|entry| entry.name == server);
        let sensitive = entry.and_then(|entry| entry.sensitive_data).unwrap_or(self.sensitive_data);
        BodyPolicy {
            store: entry.and_then(|entry| entry.activity_bodies).unwrap_or(self.activity_bodies),
            arguments: sensitive.arguments,
            results: sensitive.results,
        }
    }

    /// How long the activity log keeps its records.
    pub fn activity_retention(&self) -> Retention {
        let usual = Retention::default();
        Retention {
            days: if self.activity_retention_days == 0 { usual.days } else { self.activity_retention_days },
            bytes: if self.activity_max_size_mb == 0 {
                usual.bytes
            } else {
                u64::from(self.activity_max_size_mb) << 20
            },
        }
    }

    /// The limits of all servers' calls together.
    pub fn concurrency(&self) -> Concurrency {
        Concurrency {
            max_concurrent_requests: self.max_concurrent_requests,
            queue_size: self.queue_size,
            queue_timeout: self.queue_timeout,
        }
    }

    /// The settings that differ and take effect only after a restart.
    pub fn needs_restart(&self, started: &Config) -> Vec<&'static str> {
        let differ = [
            ("listen", self.listen != started.listen),
            ("tray_endpoint", self.tray_endpoint != started.tray_endpoint),
            ("enable_socket", self.enable_socket != started.enable_socket),
            ("api_key", self.api_key != started.api_key),
            ("require_mcp_auth", self.require_mcp_auth != started.require_mcp_auth),
            ("trusted_hosts", self.trusted_hosts != started.trusted_hosts),
            ("routing_mode", self.routing_mode != started.routing_mode),
            ("tls", self.tls != started.tls),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// Errors that the types cannot express: the text to point at and the message.
    fn semantic_error(&self) -> Option<(String, String)> {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        if self.listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            let problem = format!(
                "invalid `listen` `{}`: expected `host:port`, for example `{}`",
                self.listen,
                names::DEFAULT_LISTEN
            );
            return Some((quoted(&self.listen), problem));
        }
        if let Some((name, problem)) = profiles::mistake(&self.profiles) {
            return Some((quoted(&name), problem));
        }
        let mut seen = std::collections::BTreeSet::new();
        for server in &self.servers {
            let named = quoted(&server.name);
            if server.name.is_empty() || server.name.contains(':') {
                return Some((
                    named,
                    format!("invalid server name `{}`: it must not be empty or contain `:`", server.name),
                ));
            }
            if !seen.insert(&server.name) {
                return Some((named, format!("two servers are named `{}`", server.name)));
            }
            let command = server.command.as_deref().is_some_and(|command| !command.is_empty());
            let url = server.url.as_deref().is_some_and(|url| !url.is_empty());
            match server.effective_protocol() {
                Protocol::Stdio if !command => {
                    return Some((named, format!("server `{}` has protocol stdio but no `command`", server.name)));
                }
                Protocol::Stdio => {}
                _ if !url => {
                    return Some((named, format!("server `{}` has neither a `command` nor a `url`", server.name)));
                }
                _ => {}
            }
        }
        None
    }
}

/// serde's message without "at line … column …", which the error holds as numbers.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    if error.is_eof() { format!("{text}, expected more JSON") } else { text.to_owned() }
}

/// Line and column (from 1) of the last occurrence of `needle`: of two equal names, the second is the error.
fn position(text: &str, needle: &str) -> (usize, usize) {
    let Some(offset) = text.rfind(needle) else { return (1, 1) };
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

fn default_listen() -> String {
    names::DEFAULT_LISTEN.to_owned()
}

/// About what a search and a call cost with `retrieve_tools`: `docs/search-quality.md` measures it.
fn default_direct_up_to_tokens() -> usize {
    1500
}

/// Most tools that a search returns.
pub const MAX_TOOLS_LIMIT: usize = 100;

fn default_tools_limit() -> usize {
    10
}

fn default_response_limit() -> usize {
    20_000
}

fn default_call_timeout() -> Duration {
    Duration::from_secs(120)
}

fn string_or_default_listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value: Option<String> = Option::deserialize(deserializer)?;
    Ok(value.filter(|listen| !listen.is_empty()).unwrap_or_else(default_listen))
}

fn tools_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let value: Option<usize> = Option::deserialize(deserializer)?;
    match value {
        None | Some(0) => Ok(default_tools_limit()),
        // No search returns more; the Go core takes larger values.
        Some(limit) if limit <= 1000 => Ok(limit.min(MAX_TOOLS_LIMIT)),
        Some(limit) => Err(serde::de::Error::custom(format!("invalid tools_limit {limit}: use 1 to 1000"))),
    }
}

fn response_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_response_limit))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Ok(optional_duration(deserializer)?.unwrap_or_else(default_call_timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/c.json"), text)
    }

    #[test]
    fn an_empty_file_means_every_default() {
        let config = parse("").unwrap();
        assert_eq!(config.listen, "127.0.0.1:8080");
        assert!(config.enable_socket);
        assert_eq!(config.call_tool_timeout, Duration::from_secs(120));
    }

    #[test]
    fn an_endless_duration_can_be_added_to_the_time() {
        let config = parse(r#"{"call_tool_timeout": "2000000000000h"}"#).unwrap();
        assert_eq!(config.call_tool_timeout, deserialize::LONGEST_DURATION);
    }

    #[test]
    fn auto_approve_tool_changes_wins_over_skip_quarantine_and_quarantine_enabled_over_both() {
        let trusts = |text: &str| parse(text).unwrap().servers[0].trusts_changes();
        let server = |more: &str| format!(r#""mcpServers":[{{"name":"a","command":"x"{more}}}]"#);
        assert!(!trusts(&format!("{{{}}}", server(""))));
        assert!(trusts(&format!("{{{}}}", server(r#","skip_quarantine":true"#))));
        let both = server(r#","skip_quarantine":true,"auto_approve_tool_changes":false"#);
        assert!(!trusts(&format!("{{{both}}}")));
        assert!(trusts(&format!(r#"{{"quarantine_enabled":false,{both}}}"#)));
        let newest = server(r#","trust_mode":"manual","auto_approve_tool_changes":true"#);
        assert!(!trusts(&format!("{{{newest}}}")));
        assert!(trusts(&format!(r#"{{"quarantine_enabled":false,{newest}}}"#)));
    }

    #[test]
    fn a_file_of_the_go_core_is_read() {
        let config = parse(
            r#"{"listen":":8085","mcpServers":[{"name":"a","protocol":"stdio","command":"npx","args":null,"env":{},
                "oauth":null,"enabled":true,"created":"2025-01-01T00:00:00Z","init_timeout":"1m30s"}],
                "call_tool_timeout":"2m0s","logging":{"level":"info"},"telemetry":null}"#,
        )
        .unwrap();
        assert_eq!(config.servers[0].effective_protocol(), Protocol::Stdio);
        assert_eq!(config.servers[0].init_timeout, Some(Duration::from_secs(90)));
    }

    #[test]
    fn servers_by_name_are_read_as_other_programs_write_them() {
        let config = parse(
            r#"{"mcpServers": {"a": {"command": "x", "disabled": true}, "b": {"type": "http", "url": "http://h/"}}}"#,
        )
        .unwrap();
        let found: Vec<_> = config.servers.iter().map(|server| (server.name.as_str(), server.enabled)).collect();
        assert_eq!(found, [("a", false), ("b", true)]);
        assert!(parse(r#"{"mcpServers": {"a": 7}}"#).is_err());
        assert!(parse(r#"{"mcpServers": 7}"#).unwrap_err().problem.contains("expected an array of servers"));
        assert!(parse(r#"{"mcpServers": null}"#).unwrap().servers.is_empty());
    }

    #[test]
    fn an_error_has_a_position_and_says_what_was_expected() {
        let error = parse("{\n  \"listen\": 8080\n}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 16));
        assert!(error.problem.contains("expected a string"), "{error}");

        let error = parse("{\n \"mcpServers\": [\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert_eq!(error.problem, "EOF while parsing a list, expected more JSON");

        let error = parse("{\"mcpServers\": [\n {\"name\": \"a\", \"protocol\": \"smoke\"}]}").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.problem.contains("expected one of `stdio`"), "{error}");

        let error = parse("[]").unwrap_err();
        assert!(error.problem.contains("expected an object of settings"), "{error}");
    }

    #[test]
    fn an_error_that_no_type_catches_has_a_position_too() {
        let error =
            parse("{\"mcpServers\": [{\"name\":\"a\",\"command\":\"x\"},\n {\"name\":\"a\",\"command\":\"y\"}]}")
                .unwrap_err();
        assert_eq!((error.line, error.column), (2, 10));
        assert!(parse(r#"{"mcpServers":[{"name":"a:b","command":"x"}]}"#).is_err());
        assert!(parse(r#"{"mcpServers":[{"name":"a"}]}"#).is_err());
        assert!(parse(r#"{"listen":"nonsense"}"#).is_err());
        let error = parse("{\"profiles\": [{\"name\": \"a\"},\n {\"name\": \"all\"}]}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 11), "{error}");
        assert!(parse(r#"{"call_tool_timeout":"soon"}"#).is_err());
    }
}
