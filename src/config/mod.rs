//! `mcp_config.json` as this core reads it: the existing core's format (contract: cli-config-telemetry §3).
//!
//! Only what this core acts on is typed. Everything else a person or another program wrote stays in the
//! [`document`] and is written back as it was.

pub mod document;
mod edit_profiles;
pub mod isolation;
pub mod profiles;
pub mod references;
pub mod serving;
pub mod store;
pub mod switches;
pub mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::isolation::Isolation;
use crate::config::profiles::ProfileConfig;
use crate::config::serving::{Concurrency, RoutingMode, TlsConfig};
use crate::config::trust::Trust;
use crate::contract::names;
use crate::updates::policy::UpdateCheck;

/// The settings this core acts on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(expecting = "an object of settings")]
pub struct Config {
    /// TCP address, `host:port`; `:port` means every interface.
    #[serde(default = "default_listen", deserialize_with = "text_or_default_listen")]
    pub listen: String,
    /// `unix://…` or `npipe://…` instead of the instance root's own address.
    #[serde(default)]
    pub tray_endpoint: Option<String>,
    /// Whether to listen on the local address at all.
    #[serde(default = "yes")]
    pub enable_socket: bool,
    /// Key for TCP; generated and saved when it is missing.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Whether `/mcp` over TCP asks for the key, too.
    #[serde(default)]
    pub require_mcp_auth: bool,
    /// Host names besides loopback that `/mcp` answers to.
    #[serde(default, deserialize_with = "null_as_default")]
    pub trusted_hosts: Vec<String>,
    /// The upstream servers, a list.
    #[serde(default, rename = "mcpServers", deserialize_with = "null_as_default")]
    pub servers: Vec<ServerConfig>,
    /// AI clients may not change servers, and are not offered the tools for it: two words for the same here.
    #[serde(default)]
    pub disable_management: bool,
    #[serde(default)]
    pub read_only_mode: bool,
    /// Whether AI clients may add servers, which wait for a person's approval then.
    #[serde(default = "yes")]
    pub allow_server_add: bool,
    /// Whether AI clients may remove servers.
    #[serde(default = "yes")]
    pub allow_server_remove: bool,
    /// Whether new and changed tools wait for a person's approval.
    #[serde(default)]
    pub quarantine_enabled: Option<bool>,
    /// How many tools `retrieve_tools` returns when the caller does not say, 1 to 1000.
    #[serde(default = "default_tools_limit", deserialize_with = "tools_limit")]
    pub tools_limit: usize,
    /// Longest text of a result in characters, before it is cut; 0 means any.
    #[serde(default = "default_response_limit", deserialize_with = "response_limit")]
    pub tool_response_limit: usize,
    /// What a search shows of tools where its caller does not say: `full`, or `compact`.
    #[serde(default)]
    pub tool_response_mode: Option<String>,
    /// How long a tool call may take.
    #[serde(default = "default_call_timeout", deserialize_with = "duration")]
    pub call_tool_timeout: Duration,
    #[serde(default, deserialize_with = "null_as_default")]
    pub intent_declaration: IntentDeclaration,
    /// What holds for servers whose entries say nothing of it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub docker_isolation: Isolation,
    /// Named sets of servers.
    #[serde(default, deserialize_with = "null_as_default")]
    pub profiles: Vec<ProfileConfig>,
    /// The profile of sessions that choose none.
    #[serde(default, deserialize_with = "text_or_none")]
    pub active_profile: Option<String>,
    /// What `/mcp` offers.
    #[serde(default)]
    pub routing_mode: RoutingMode,
    #[serde(default, deserialize_with = "null_as_default")]
    pub tls: TlsConfig,
    /// How many calls of all servers together run at once; 0 means any number.
    #[serde(default)]
    pub max_concurrent_requests: Option<usize>,
    /// How many wait; 0 means none.
    #[serde(default)]
    pub queue_size: Option<usize>,
    /// How long they wait.
    #[serde(default, deserialize_with = "optional_duration")]
    pub queue_timeout: Option<Duration>,
    /// Limits of each server's calls, unless its entry says otherwise.
    #[serde(default, deserialize_with = "null_as_default")]
    pub server_concurrency_defaults: Concurrency,
    #[serde(default, deserialize_with = "null_as_default")]
    pub telemetry: TelemetryConfig,
    #[serde(default, deserialize_with = "null_as_default")]
    pub update_check: UpdateCheck,
}

/// `intent_declaration`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IntentDeclaration {
    /// Whether a tool that its server calls destructive is refused under the other two call tools.
    #[serde(default = "yes")]
    pub strict_server_validation: bool,
}

impl Default for IntentDeclaration {
    fn default() -> IntentDeclaration {
        IntentDeclaration {
            strict_server_validation: true,
        }
    }
}

/// `telemetry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TelemetryConfig {
    /// Absent means yes.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// A random UUIDv4, kept byte for byte.
    #[serde(default)]
    pub anonymous_id: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub anonymous_id_created_at: Option<String>,
    /// Version of the last accepted heartbeat.
    #[serde(default)]
    pub last_reported_version: Option<String>,
    /// A person has been told; nothing is sent before.
    #[serde(default, deserialize_with = "null_as_default")]
    pub notice_shown: bool,
    /// Where heartbeats go; without one nothing is sent.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// One entry of `mcpServers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ServerConfig {
    /// Unique, without a colon: tools are called `server:tool`.
    pub name: String,
    #[serde(default)]
    pub protocol: Protocol,
    #[serde(default)]
    pub command: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub args: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    #[serde(default)]
    pub url: Option<String>,
    /// Sent with every request to `url`; never shown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub headers: BTreeMap<String, String>,
    /// How to sign in to `url`, where it does not say so itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub oauth: OauthConfig,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its tools are neither shown nor called until a person approves the server.
    #[serde(default)]
    pub quarantined: bool,
    /// New and changed tools do not wait: the older word.
    #[serde(default)]
    pub skip_quarantine: bool,
    /// The newer word for the same; `true` for every server when `quarantine_enabled` is off.
    #[serde(default)]
    pub auto_approve_tool_changes: Option<bool>,
    /// The newest word for it: `auto`, `scan` or `manual`.
    #[serde(default, deserialize_with = "text_or_none")]
    pub trust_mode: Option<String>,
    /// Only these of its tools are on, if there are any here.
    #[serde(default, deserialize_with = "null_as_default")]
    pub enabled_tools: Vec<String>,
    /// These of its tools are off.
    #[serde(default, deserialize_with = "null_as_default")]
    pub disabled_tools: Vec<String>,
    /// Whether it is to run shut off, `docker_isolation` taken into account.
    #[serde(default, deserialize_with = "null_as_default")]
    pub isolation: Isolation,
    /// Whether clients are shown its prompts.
    #[serde(default)]
    pub expose_prompts: Option<bool>,
    /// How long it may take to start, downloads included.
    #[serde(default, deserialize_with = "optional_duration")]
    pub init_timeout: Option<Duration>,
    /// How many of its calls run at once; 0 means any number.
    #[serde(default)]
    pub max_concurrent_requests: Option<usize>,
    /// How many wait; 0 means none.
    #[serde(default)]
    pub queue_size: Option<usize>,
    /// How long they wait.
    #[serde(default, deserialize_with = "optional_duration")]
    pub queue_timeout: Option<Duration>,
}

/// `oauth` of a server: a client that was registered by hand, and what to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct OauthConfig {
    #[serde(default, deserialize_with = "text_or_none")]
    pub client_id: Option<String>,
    #[serde(default, deserialize_with = "text_or_none")]
    pub client_secret: Option<String>,
    /// An address of this computer, as the client was registered with it.
    #[serde(default, deserialize_with = "text_or_none")]
    pub redirect_uri: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub scopes: Vec<String>,
    /// What is said to the sign-in page beside what the protocol says, such as an `audience`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extra_params: BTreeMap<String, String>,
}

/// How an upstream server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    #[serde(rename = "stdio")]
    Stdio,
    #[serde(rename = "http")]
    Http,
    #[serde(rename = "sse")]
    Sse,
    #[serde(rename = "streamable-http")]
    StreamableHttp,
    /// By what is there: a command means stdio, an address HTTP.
    #[default]
    #[serde(rename = "auto", alias = "")]
    Auto,
}

impl Protocol {
    /// The word as it stands in the file.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Stdio => "stdio",
            Protocol::Http => "http",
            Protocol::Sse => "sse",
            Protocol::StreamableHttp => "streamable-http",
            Protocol::Auto => "auto",
        }
    }
}

impl ServerConfig {
    /// Whether new and changed tools of this server do not wait for approval.
    pub fn trusts_changes(&self) -> bool {
        self.trust() == Trust::Auto
    }

    /// Who approves new and changed tools of this server.
    pub fn trust(&self) -> Trust {
        Trust::effective(self.trust_mode.as_deref(), self.auto_approve_tool_changes, self.skip_quarantine)
    }

    /// The limits of its calls, in a configuration with these defaults.
    pub fn concurrency(&self, default: &Concurrency) -> Concurrency {
        let own = Concurrency {
            max_concurrent_requests: self.max_concurrent_requests,
            queue_size: self.queue_size,
            queue_timeout: self.queue_timeout,
        };
        own.or(default)
    }

    /// The entry for the older transport, where nothing says that the server is not of that kind.
    pub fn over_sse(&self) -> Option<ServerConfig> {
        let may_be = self.protocol == Protocol::Auto && self.effective_protocol() == Protocol::StreamableHttp;
        may_be.then(|| ServerConfig {
            protocol: Protocol::Sse,
            ..self.clone()
        })
    }

    /// The protocol with `auto` decided; a server over HTTP may turn out to be of the older kind.
    pub fn effective_protocol(&self) -> Protocol {
        match self.protocol {
            Protocol::Auto if self.command.as_deref().is_some_and(|command| !command.is_empty()) => Protocol::Stdio,
            Protocol::Auto => Protocol::StreamableHttp,
            said => said,
        }
    }
}

/// Why a configuration cannot be used: where, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`, line {line}, column {column}: {problem}", path.display())]
pub struct ConfigError {
    pub path: PathBuf,
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

impl Config {
    /// Whether new servers and new tools wait for a person.
    pub fn quarantines(&self) -> bool {
        self.quarantine_enabled != Some(false)
    }

    /// Reads a configuration; an empty text means every default.
    ///
    /// # Errors
    /// [`ConfigError`] with the place of the first mistake.
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // serde takes a list for a struct, its fields in order: nobody means that here.
        if text.trim_start().starts_with('[') {
            let (line, column) = position(text, "[");
            let problem = "invalid type: list, expected an object of settings".to_owned();
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
            server.isolation = server.isolation.within(&config.docker_isolation);
        }
        match config.mistake() {
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

    /// The limits of all servers' calls together.
    pub fn concurrency(&self) -> Concurrency {
        Concurrency {
            max_concurrent_requests: self.max_concurrent_requests,
            queue_size: self.queue_size,
            queue_timeout: self.queue_timeout,
        }
    }

    /// The settings that differ and are read at the start of the core only.
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

    /// What no type can say: the text to point at, and the sentence.
    fn mistake(&self) -> Option<(String, String)> {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        if self.listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            let problem =
                format!("`listen` is `{}`, expected `host:port`, for example `{}`", self.listen, names::DEFAULT_LISTEN);
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
                    format!("server name `{}`: expected one or more characters, none of them `:`", server.name),
                ));
            }
            if !seen.insert(&server.name) {
                return Some((named, format!("two servers are called `{}`: expected each name once", server.name)));
            }
            let command = server.command.as_deref().is_some_and(|command| !command.is_empty());
            let url = server.url.as_deref().is_some_and(|url| !url.is_empty());
            match server.effective_protocol() {
                Protocol::Stdio if !command => {
                    return Some((named, format!("server `{}` has protocol stdio: expected a `command`", server.name)));
                }
                Protocol::Stdio => {}
                _ if !url => {
                    return Some((named, format!("server `{}`: expected a `command` or a `url`", server.name)));
                }
                _ => {}
            }
        }
        None
    }
}

/// serde's sentence without its own "at line … column …", which the error carries as numbers.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    if error.is_eof() { format!("{text}, expected more JSON") } else { text.to_owned() }
}

/// Line and column (from 1) of the last occurrence of `needle`: the second of two equal names is the mistake.
fn position(text: &str, needle: &str) -> (usize, usize) {
    let Some(offset) = text.rfind(needle) else { return (1, 1) };
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

fn yes() -> bool {
    true
}

fn default_listen() -> String {
    names::DEFAULT_LISTEN.to_owned()
}

fn default_tools_limit() -> usize {
    15
}

fn default_response_limit() -> usize {
    20_000
}

fn default_call_timeout() -> Duration {
    Duration::from_secs(120)
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The existing core writes an empty text for what is not set.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let said: Option<String> = Option::deserialize(deserializer)?;
    Ok(said.filter(|text| !text.is_empty()))
}

fn text_or_default_listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let said: Option<String> = Option::deserialize(deserializer)?;
    Ok(said.filter(|listen| !listen.is_empty()).unwrap_or_else(default_listen))
}

fn tools_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let said: Option<usize> = Option::deserialize(deserializer)?;
    match said {
        None | Some(0) => Ok(default_tools_limit()),
        Some(limit) if limit <= 1000 => Ok(limit),
        Some(limit) => Err(serde::de::Error::custom(format!("tools_limit is {limit}, expected 1 to 1000"))),
    }
}

fn response_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_response_limit))
}

/// Reads a Go duration, a text such as `90s`, `2m` or `1h30m`.
fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let said: Option<String> = Option::deserialize(deserializer)?;
    let Some(text) = said.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || serde::de::Error::custom(format!("`{text}` is no duration, expected a text such as `90s` or `2m`"));
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map(Some).map_err(|_| wrong())
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
    fn the_newer_word_on_approval_outranks_the_older_and_the_switch_both() {
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
    fn the_existing_cores_file_is_read() {
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
    fn a_mistake_has_a_place_and_an_expectation() {
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
    fn a_mistake_no_type_sees_has_a_place_too() {
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
