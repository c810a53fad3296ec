//! The heartbeat, version 3: a typed allow-list without a free `String`.
//!
//! Names and values match the Go core, because one collector reads both: `os` and `arch` use Go's names
//! (`darwin`, `amd64`), and `go_version` keeps its name and contains `rust1.95` here. Fields of the contract that do
//! not apply to this core are empty (`rest_endpoint_calls`, `doctor_checks`) or zero.
//!
//! A payload is a pure function of a [`Snapshot`]: the same snapshot gives the same bytes, and building one changes
//! nothing.

mod closed_sets;
mod existing_core;
mod parts;
mod values;

pub mod client_name;
pub mod schema;

<<<<<<< HEAD
pub use closed_sets::{Arch, CallCountBucket, Edition, OauthProvider, OauthProviders, Os, RoutingMode, StartupOutcome};
pub use existing_core::{DoctorChecks, EndpointCalls};
pub use parts::{
    ActivationReport, BuiltinToolCalls, ErrorCategoryCounts, FeatureFlags, ServerProtocolCounts, SurfaceRequests,
};
pub use values::{AnonymousId, ClientWords, Count, Known, Moment, RuntimeVersion, SchemaVersion, Version};

use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource};
use crate::telemetry::payload::schema::{Allowed, allowed_object};
=======
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource, TokensSavedBucket};
use crate::telemetry::payload::schema::{Allowed, Field, Pattern, Rule, allowed_object, allowed_words};

/// A random identifier of an installation: a UUIDv4, stored byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AnonymousId(String);

impl AnonymousId {
    /// Keeps an existing id unchanged; `None` unless it is a UUIDv4 (a version 1 would contain a network address).
    pub fn existing(text: &str) -> Option<AnonymousId> {
        is_uuid_v4(text).then(|| AnonymousId(text.to_owned()))
    }

    /// A new random id.
    pub fn random() -> AnonymousId {
        AnonymousId(Uuid::new_v4().to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_uuid_v4(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'4',
            19 => b"89abAB".contains(byte),
            _ => byte.is_ascii_hexdigit(),
        })
}

impl Allowed for AnonymousId {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "uuid_v4",
        expression: "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$",
        matches: is_uuid_v4,
    });
}

/// A version number: numbers and a pre-release stage from a closed set. Empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// The version if it has the closed form, else empty: the name of a private build stays private.
    pub fn new(text: &str) -> Version {
        Version(if is_version(text) { text.to_owned() } else { String::new() })
    }
}

/// Matches `v?N.N.N`, then at most one of `-alpha`, `-beta`, `-rc`, `-dev`, `-next` with an optional number. Each
/// number has one to five digits.
fn is_version(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let (core, stage) = match text.split_once('-') {
        None => (text, None),
        Some((core, stage)) => (core, Some(stage)),
    };
    let number = |part: &str| (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let core = core.strip_prefix('v').unwrap_or(core);
    let staged = stage.is_none_or(|stage| {
        ["alpha", "beta", "rc", "dev", "next"]
            .iter()
            .filter_map(|word| stage.strip_prefix(word))
            .any(|rest| rest.is_empty() || number(rest.strip_prefix('.').unwrap_or(rest)))
    });
    staged && core.split('.').count() == 3 && core.split('.').all(number)
}

impl Allowed for Version {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "version",
        expression: "^(v?[0-9]{1,5}\\.[0-9]{1,5}\\.[0-9]{1,5}(-(alpha|beta|rc|dev|next)(\\.?[0-9]{1,5})?)?)?$",
        matches: is_version,
    });
}

/// The language runtime: `rust1.95` here, `go1.24.3` in the Go core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RuntimeVersion(String);

impl RuntimeVersion {
    /// The runtime that this program was built with.
    pub fn this() -> RuntimeVersion {
        RuntimeVersion(concat!("rust", env!("CARGO_PKG_RUST_VERSION")).to_owned())
    }
}

fn is_runtime_version(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("go").or_else(|| text.strip_prefix("rust")) else {
        return false;
    };
    let (numbers, candidate) = numbers.split_once("rc").unwrap_or((numbers, "0"));
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&numbers.split('.').count()) && numbers.split('.').all(number) && number(candidate)
}

impl Allowed for RuntimeVersion {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "runtime_version",
        expression: "^(go|rust)[0-9]{1,3}(\\.[0-9]{1,3}){1,2}(rc[0-9]{1,3})?$",
        matches: is_runtime_version,
    });
}

/// A time: UTC, whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Moment(String);

impl Moment {
    /// The time for a Unix time in seconds; the epoch if no calendar date exists for it.
    pub fn from_unix(seconds: i64) -> Moment {
        Moment(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string())
    }

    /// Keeps a string that already has the form.
    pub fn existing(text: &str) -> Option<Moment> {
        is_moment(text).then(|| Moment(text.to_owned()))
    }
}

/// Matches `YYYY-MM-DDTHH:MM:SSZ`, with an optional fraction of up to nine digits, as Go writes it.
fn is_moment(text: &str) -> bool {
    let Some((whole, rest)) = text.split_at_checked(19) else { return false };
    let digits = whole.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == *form,
    });
    let zone = rest == "Z"
        || rest.strip_prefix('.').and_then(|rest| rest.strip_suffix('Z')).is_some_and(|fraction| {
            (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit())
        });
    digits && zone
}

impl Allowed for Moment {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "moment",
        expression: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$",
        matches: is_moment,
    });
}

/// A count with a maximum that no honest machine exceeds: a larger number could encode a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count(u64);

const MOST: u64 = 1_000_000_000;

impl From<u64> for Count {
    fn from(count: u64) -> Count {
        Count(count.min(MOST))
    }
}

impl From<u32> for Count {
    fn from(count: u32) -> Count {
        Count::from(u64::from(count))
    }
}

impl Allowed for Count {
    const RULE: Rule = Rule::Count(MOST);
}

/// The version number of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SchemaVersion(u8);

impl Allowed for SchemaVersion {
    const RULE: Rule = Rule::Count(3);
}

/// Yes, no, or unknown (`null`, always present).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Known(pub Option<bool>);

impl Allowed for Known {
    const RULE: Rule = Rule::BoolOrNull;
}

impl Allowed for EnvKind {
    const RULE: Rule = Rule::Words(&["interactive", "ci", "cloud_ide", "container", "headless", "unknown"]);
}

impl Allowed for EnvMarkers {
    const RULE: Rule = Rule::Object(&[
        marker("has_ci_env", "The environment contains a CI variable. Example: `false`."),
        marker("has_cloud_ide_env", "The environment contains a cloud IDE's variable. Example: `false`."),
        marker("is_container", "The process runs in a container. Example: `false`."),
        marker("has_tty", "Standard input is a terminal. Example: `true`."),
        marker("has_display", "`DISPLAY` or `WAYLAND_DISPLAY` is set. Example: `true`."),
    ]);
}

const fn marker(name: &'static str, doc: &'static str) -> Field {
    Field {
        name,
        doc,
        optional: false,
        rule: &Rule::Bool,
    }
}

impl Allowed for LaunchSource {
    const RULE: Rule = Rule::Words(&["installer", "tray", "login_item", "cli", "unknown"]);
}

impl Allowed for TokensSavedBucket {
    const RULE: Rule = Rule::Words(&["0", "1_100", "100_1k", "1k_10k", "10k_100k", "100k_plus"]);
}

/// Client names from the closed list, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClientWords(Vec<&'static str>);

impl ClientWords {
    fn of(names: &[String]) -> ClientWords {
        let mut words = Vec::new();
        for word in names.iter().map(|name| client_name::word(name)) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.truncate(crate::telemetry::store::CLIENTS_KEPT);
        ClientWords(words)
    }
}

impl Allowed for ClientWords {
    const RULE: Rule = Rule::List {
        of: &Rule::Words(client_name::KNOWN),
        longest: crate::telemetry::store::CLIENTS_KEPT,
    };
}

allowed_words! {
    /// The number of upstream tool calls, as a range.
    pub enum CallCountBucket {
        Zero = "0", UpTo10 = "1-10", UpTo100 = "11-100", UpTo1000 = "101-1000", Over1000 = "1000+",
    }
}

impl CallCountBucket {
    /// The range of a count.
    pub fn of(count: u64) -> CallCountBucket {
        match count {
            0 => CallCountBucket::Zero,
            1..=10 => CallCountBucket::UpTo10,
            11..=100 => CallCountBucket::UpTo100,
            101..=1000 => CallCountBucket::UpTo1000,
            _ => CallCountBucket::Over1000,
        }
    }
}

allowed_words! {
    /// The product edition. This core has one edition.
    pub enum Edition { Personal = "personal", Teams = "teams", Server = "server", }
}

allowed_words! {
    /// How MCPProxy offers tools to clients.
    pub enum RoutingMode { RetrieveTools = "retrieve_tools", Direct = "direct", CodeExecution = "code_execution", }
}

allowed_words! {
    /// How the previous start ended.
    pub enum StartupOutcome {
        None = "", Success = "success", PortConflict = "port_conflict", DbLocked = "db_locked",
        ConfigError = "config_error", PermissionError = "permission_error", OtherError = "other_error",
    }
}

allowed_words! {
    /// The operating system, in Go's terms. Accepts Rust's name for macOS but never writes it.
    pub enum Os {
        Linux = "linux", Darwin = "darwin", Windows = "windows", FreeBsd = "freebsd", OpenBsd = "openbsd",
        NetBsd = "netbsd", MacOs = "macos", Other = "other",
    }
}

allowed_words! {
    /// The processor, in Go's terms. Accepts Rust's names for the two common ones but never writes them.
    pub enum Arch {
        Amd64 = "amd64", Arm64 = "arm64", X86 = "386", Arm = "arm", Riscv64 = "riscv64", X8664 = "x86_64",
        Aarch64 = "aarch64", Other = "other",
    }
}

impl Os {
    /// The system this program was built for.
    pub fn this() -> Os {
        match std::env::consts::OS {
            "macos" => Os::Darwin,
            word => Os::from_word(word).unwrap_or(Os::Other),
        }
    }
}

impl Arch {
    /// The processor this program was built for.
    pub fn this() -> Arch {
        match std::env::consts::ARCH {
            "x86_64" => Arch::Amd64,
            "aarch64" => Arch::Arm64,
            "x86" => Arch::X86,
            word => Arch::from_word(word).unwrap_or(Arch::Other),
        }
    }
}

allowed_words! {
    /// The provider of an upstream's sign-in.
    pub enum OauthProvider { Google = "google", Github = "github", Microsoft = "microsoft", Generic = "generic", }
}

/// The sign-in providers in use, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OauthProviders(Vec<OauthProvider>);

impl From<Vec<OauthProvider>> for OauthProviders {
    fn from(mut providers: Vec<OauthProvider>) -> OauthProviders {
        providers.sort_by_key(|provider| *provider as u8);
        providers.dedup();
        OauthProviders(providers)
    }
}

impl Allowed for OauthProviders {
    const RULE: Rule = Rule::List {
        of: &OauthProvider::RULE,
        longest: 4,
    };
}

allowed_object! {
    /// Requests by surface.
    pub struct SurfaceRequests {
        /// MCP requests. Example: `120`.
        pub mcp: Count,
        /// Requests from the command line. Example: `3`.
        pub cli: Count,
        /// Requests from the web page. Example: `0`.
        pub webui: Count,
        /// Requests from the tray. Example: `40`.
        pub tray: Count,
        /// Other requests. Example: `0`.
        pub unknown: Count,
    }
}

allowed_object! {
    /// Calls of the proxy's own tools.
    pub struct BuiltinToolCalls {
        /// Example: `12`.
        pub retrieve_tools: Count,
        /// Example: `30`.
        pub call_tool_read: Count,
        /// Example: `4`.
        pub call_tool_write: Count,
        /// Example: `0`.
        pub call_tool_destructive: Count,
        /// Example: `1`.
        pub upstream_servers: Count,
        /// Example: `0`.
        pub quarantine_security: Count,
        /// Example: `0`.
        pub code_execution: Count,
    }
}

allowed_object! {
    /// The features that are on.
    pub struct FeatureFlags {
        /// The local socket is on. Example: `true`.
        pub enable_socket: bool,
        /// The web page is on; this core has none. Example: `false`.
        pub enable_web_ui: bool,
        /// MCP prompts are on. Example: `true`.
        pub enable_prompts: bool,
        /// MCP clients need a key. Example: `false`.
        pub require_mcp_auth: bool,
        /// Code execution is on; this core has none. Example: `false`.
        pub enable_code_execution: bool,
        /// New tools need approval. Example: `true`.
        pub quarantine_enabled: bool,
        /// Tool results are scanned for secrets; this core does not. Example: `false`.
        pub sensitive_data_detection_enabled: bool,
        /// Sign-in providers in use. Example: `["github"]`.
        pub oauth_provider_types: OauthProviders,
        /// Docker is available; this core does not check. Example: `false`.
        pub docker_available?optional: bool,
    }
}

allowed_object! {
    /// Errors by kind.
    pub struct ErrorCategoryCounts {
        /// Example: `0`.
        pub oauth_refresh_failed?optional: Count,
        /// Example: `0`.
        pub oauth_token_expired?optional: Count,
        /// Example: `1`.
        pub upstream_connect_timeout?optional: Count,
        /// Example: `2`.
        pub upstream_connect_refused?optional: Count,
        /// Example: `0`.
        pub upstream_handshake_failed?optional: Count,
        /// Example: `0`.
        pub tool_quarantine_blocked?optional: Count,
        /// Example: `0`.
        pub config_reload_failed?optional: Count,
    }
}

impl ErrorCategoryCounts {
    /// No errors.
    pub const NONE: ErrorCategoryCounts = ErrorCategoryCounts {
        oauth_refresh_failed: None,
        oauth_token_expired: None,
        upstream_connect_timeout: None,
        upstream_connect_refused: None,
        upstream_handshake_failed: None,
        tool_quarantine_blocked: None,
        config_reload_failed: None,
    };
}

allowed_object! {
    /// Upstream servers by protocol. All five are always present.
    pub struct ServerProtocolCounts {
        /// Example: `3`.
        pub stdio: Count,
        /// Example: `1`.
        pub http: Count,
        /// Example: `0`.
        pub sse: Count,
        /// Example: `0`.
        pub streamable_http: Count,
        /// No protocol, or an unknown one. Example: `0`.
        pub auto: Count,
    }
}

impl ServerProtocolCounts {
    /// Counts the configured protocols. `streamable-http` counts as `streamable_http`, an unknown value as `auto`.
    pub fn of<'a>(protocols: impl IntoIterator<Item = &'a str>) -> ServerProtocolCounts {
        let [mut stdio, mut http, mut sse, mut streamable_http, mut auto] = [0_u64; 5];
        for protocol in protocols {
            match protocol {
                "stdio" => stdio += 1,
                "http" => http += 1,
                "sse" => sse += 1,
                "streamable-http" | "streamable_http" => streamable_http += 1,
                _ => auto += 1,
            }
        }
        ServerProtocolCounts {
            stdio: stdio.into(),
            http: http.into(),
            sse: sse.into(),
            streamable_http: streamable_http.into(),
            auto: auto.into(),
        }
    }
}

allowed_object! {
    /// The activation state of this installation.
    pub struct ActivationReport {
        /// An upstream server has connected at least once. Example: `true`.
        pub first_connected_server_ever: bool,
        /// An MCP client has connected at least once. Example: `true`.
        pub first_mcp_client_ever: bool,
        /// A client has called `retrieve_tools` at least once. Example: `true`.
        pub first_retrieve_tools_call_ever: bool,
        /// Published names of the clients; `other` for the rest. Example: `["claude-code", "other"]`.
        pub mcp_clients_seen_ever: ClientWords,
        /// Calls of `retrieve_tools` in the current 24 h window. Example: `12`.
        pub retrieve_tools_calls_24h: Count,
        /// Tokens kept out of prompts in the current 24 h window, as a range. Example: `"1k_10k"`.
        pub estimated_tokens_saved_24h_bucket: TokensSavedBucket,
        /// AI clients on this computer that are configured for this proxy. Example: `2`.
        pub configured_ide_count: Count,
    }
}

impl From<&Activation> for ActivationReport {
    fn from(activation: &Activation) -> ActivationReport {
        ActivationReport {
            first_connected_server_ever: activation.first_connected_server_ever,
            first_mcp_client_ever: activation.first_mcp_client_ever,
            first_retrieve_tools_call_ever: activation.first_retrieve_tools_call_ever,
            mcp_clients_seen_ever: ClientWords::of(&activation.mcp_clients_seen_ever),
            retrieve_tools_calls_24h: activation.retrieve_tools_calls_24h.into(),
            estimated_tokens_saved_24h_bucket: activation.estimated_tokens_saved_24h_bucket,
            configured_ide_count: activation.configured_ide_count.into(),
        }
    }
}

/// Requests by route. This core counts none; the routes of the Go core must match a closed vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EndpointCalls(BTreeMap<&'static str, BTreeMap<&'static str, Count>>);

fn is_route(text: &str) -> bool {
    const SEGMENTS: &[&str] = &[
        "api",
        "v1",
        "v2",
        "activity",
        "agents",
        "apply",
        "approve",
        "auth",
        "call",
        "cancel",
        "categories",
        "check",
        "clients",
        "code",
        "config",
        "connect",
        "connections",
        "credentials",
        "diagnostics",
        "diff",
        "disable",
        "disconnect",
        "discover",
        "discover-tools",
        "docker",
        "docs",
        "doctor",
        "enable",
        "errors",
        "events",
        "exec",
        "export",
        "feedback",
        "health",
        "healthz",
        "history",
        "import",
        "info",
        "inspect",
        "invalidate",
        "isolation",
        "livez",
        "login",
        "logout",
        "logs",
        "mcp",
        "me",
        "metrics",
        "onboarding",
        "payload",
        "profiles",
        "prompts",
        "quarantine",
        "readyz",
        "ready",
        "reconnect",
        "refresh",
        "registries",
        "reload",
        "replay",
        "report",
        "restart",
        "restart_all",
        "routing",
        "scan",
        "search",
        "secrets",
        "security",
        "server",
        "servers",
        "sessions",
        "shutdown",
        "stats",
        "status",
        "summary",
        "swagger",
        "telemetry",
        "token",
        "token-stats",
        "tokens",
        "tool-calls",
        "tools",
        "trigger",
        "unquarantine",
        "update",
        "usage",
        "users",
        "validate",
        "version",
    ];
    const PARAMETERS: &[&str] = &[
        "{id}",
        "{name}",
        "{server}",
        "{serverID}",
        "{server_id}",
        "{tool}",
        "{toolName}",
        "{token}",
        "{client}",
        "{ref}",
        "*",
    ];
    if text == "UNMATCHED" {
        return true;
    }
    let Some((method, path)) = text.split_once(' ') else { return false };
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].contains(&method)
        && (path == "UNMATCHED"
            || path.strip_prefix('/').is_some_and(|path| {
                text.len() <= 64
                    && path
                        .split('/')
                        .all(|part| part.is_empty() || SEGMENTS.contains(&part) || PARAMETERS.contains(&part))
            }))
}

impl Allowed for EndpointCalls {
    const RULE: Rule = Rule::Map {
        key: &Rule::Pattern(&Pattern {
            name: "route",
            expression: "^(UNMATCHED|(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (UNMATCHED|/[a-zA-Z0-9_{}*/-]*))$",
            matches: is_route,
        }),
        value: &Rule::Map {
            key: &Rule::Words(&["1xx", "2xx", "3xx", "4xx", "5xx"]),
            value: &Count::RULE,
        },
    };
}

/// Results of the Go core's self-checks. This core runs none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DoctorChecks(BTreeMap<&'static str, BTreeMap<&'static str, Count>>);

impl Allowed for DoctorChecks {
    const RULE: Rule = Rule::Map {
        key: &Rule::Words(&[
            "database",
            "db",
            "deprecated_configs",
            "docker",
            "docker_isolation",
            "docker_status",
            "index",
            "keyring",
            "missing_secrets",
            "oauth",
            "oauth_issues",
            "oauth_required",
            "port",
            "quarantine",
            "runtime_warnings",
            "socket",
            "upstream_connections",
            "upstream_errors",
            "upstreams",
        ]),
        value: &Rule::Map {
            key: &Rule::Words(&["pass", "fail"]),
            value: &Count::RULE,
        },
    };
}
>>>>>>> text-a

allowed_object! {
    /// The heartbeat, schema version 3. Only these fields leave this computer.
    pub struct HeartbeatPayload {
        /// Random UUIDv4 of this installation. Example: `"7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d"`.
        pub anonymous_id: AnonymousId,
        /// Version of the program. Example: `"0.1.0"`.
        pub version: Version,
        /// Edition of the program. Example: `"personal"`.
        pub edition: Edition,
        /// Operating system. Example: `"linux"`.
        pub os: Os,
        /// Processor. Example: `"amd64"`.
        pub arch: Arch,
        /// Language runtime, under the Go core's name for it. Example: `"rust1.95"`.
        pub go_version: RuntimeVersion,
        /// Configured upstream servers. Example: `4`.
        pub server_count: Count,
        /// Connected upstream servers. Example: `3`.
        pub connected_server_count: Count,
        /// Tools of all connected servers. Example: `42`.
        pub tool_count: Count,
        /// Whole hours since start. Example: `7`.
        pub uptime_hours: Count,
        /// How MCPProxy offers tools. Example: `"retrieve_tools"`.
        pub routing_mode: RoutingMode,
        /// New tools need approval. Example: `true`.
        pub quarantine_enabled: bool,
        /// Time at which this heartbeat was built. Example: `"2026-01-02T03:04:05Z"`.
        pub timestamp: Moment,
        /// Version of this schema. Example: `3`.
        pub schema_version: SchemaVersion,
        /// Time at which the identifier was created. Example: `"2026-01-01T00:00:00Z"`.
        pub anonymous_id_created_at?optional: Moment,
        /// Version of the program. Example: `"0.1.0"`.
        pub current_version: Version,
        /// Version of the last accepted heartbeat, empty before the first. Example: `"0.0.9"`.
        pub previous_version: Version,
        /// How the previous start ended. Example: `"success"`.
        pub last_startup_outcome: StartupOutcome,
        /// Requests by surface. Example: `{"mcp": 120, …}`.
        pub surface_requests: SurfaceRequests,
        /// Calls of the proxy's own tools. Example: `{"retrieve_tools": 12, …}`.
        pub builtin_tool_calls: BuiltinToolCalls,
        /// Calls of upstream tools, as a range. Example: `"11-100"`.
        pub upstream_tool_call_count_bucket: CallCountBucket,
        /// Requests by route; this core counts none. Example: `{}`.
        pub rest_endpoint_calls: EndpointCalls,
        /// Features that are on. Example: `{"enable_socket": true, …}`.
        pub feature_flags: FeatureFlags,
        /// Errors by kind. Example: `{"upstream_connect_timeout": 1}`.
        pub error_category_counts: ErrorCategoryCounts,
        /// Self-checks; this core runs none. Example: `{}`.
        pub doctor_checks: DoctorChecks,
        /// Upstream servers by protocol. Example: `{"stdio": 3, …}`.
        pub server_protocol_counts: ServerProtocolCounts,
        /// Upstream servers in Docker isolation; absent if there are none. Example: `1`.
        pub server_docker_isolated_count?optional: Count,
        /// Kind of environment. Example: `"interactive"`.
        pub env_kind: EnvKind,
        /// Evidence for that kind. Example: `{"has_ci_env": false, …}`.
        pub env_markers: EnvMarkers,
        /// How this core was started. Example: `"tray"`.
        pub launch_source: LaunchSource,
        /// Whether launch at login is on; `null` if unknown. Example: `true`.
        pub autostart_enabled: Known,
        /// Activation state of this installation. Example: `{"first_mcp_client_ever": true, …}`.
        pub activation: ActivationReport,
    }
}

allowed_object! {
<<<<<<< HEAD
=======
    /// The heartbeat, schema version 2, frozen: the Go core sent it before version 3.
    pub struct HeartbeatV2 {
        pub anonymous_id: AnonymousId,
        pub version: Version,
        pub edition: Edition,
        pub os: Os,
        pub arch: Arch,
        pub go_version: RuntimeVersion,
        pub server_count: Count,
        pub connected_server_count: Count,
        pub tool_count: Count,
        pub uptime_hours: Count,
        pub routing_mode: RoutingMode,
        pub quarantine_enabled: bool,
        pub timestamp: Moment,
        pub schema_version: SchemaVersion,
        pub anonymous_id_created_at?optional: Moment,
        pub current_version: Version,
        pub previous_version: Version,
        pub last_startup_outcome: StartupOutcome,
        pub surface_requests: SurfaceRequests,
        pub builtin_tool_calls: BuiltinToolCalls,
        pub upstream_tool_call_count_bucket: CallCountBucket,
        pub rest_endpoint_calls: EndpointCalls,
        pub feature_flags: FeatureFlags,
        pub error_category_counts: ErrorCategoryCounts,
        pub doctor_checks: DoctorChecks,
    }
}

allowed_object! {
>>>>>>> text-a
    /// The replacement after three blocked heartbeats: it contains no free text, so the scan cannot find anything in
    /// it.
    pub struct Skeleton {
        pub anonymous_id: AnonymousId,
        pub schema_version: SchemaVersion,
        pub edition: Edition,
        pub os: Os,
        pub arch: Arch,
        pub server_count: Count,
        pub connected_server_count: Count,
        pub tool_count: Count,
        pub uptime_hours: Count,
        pub env_kind: EnvKind,
        pub env_markers: EnvMarkers,
        pub launch_source: LaunchSource,
        pub autostart_enabled: Known,
    }
}

/// Everything needed to build a heartbeat, as plain values.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub anonymous_id: AnonymousId,
    pub anonymous_id_created_at: Option<Moment>,
    /// Unix seconds.
    pub now: i64,
    /// Seconds since start.
    pub uptime: u64,
    /// This program's version. The name of a private build becomes empty.
    pub version: String,
    /// Version of the last accepted heartbeat; empty before the first.
    pub previous_version: String,
    pub last_startup_outcome: StartupOutcome,
    pub server_count: u64,
    pub connected_server_count: u64,
    pub tool_count: u64,
    pub server_protocols: ServerProtocolCounts,
    pub routing_mode: RoutingMode,
    pub feature_flags: FeatureFlags,
    pub surface_requests: SurfaceRequests,
    pub builtin_tool_calls: BuiltinToolCalls,
    pub upstream_tool_calls: u64,
    pub errors: ErrorCategoryCounts,
    pub env_kind: EnvKind,
    pub env_markers: EnvMarkers,
    pub launch_source: LaunchSource,
    pub autostart_enabled: Option<bool>,
    pub activation: Activation,
}

impl Snapshot {
    /// An example, for documentation, tests and benchmarks.
    pub fn example() -> Snapshot {
        Snapshot {
            anonymous_id: AnonymousId("7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d".into()),
            anonymous_id_created_at: Moment::existing("2026-01-01T00:00:00Z"),
            now: 1_767_323_045,
            uptime: 7 * 3600 + 59,
            version: "0.1.0".into(),
            previous_version: String::new(),
            last_startup_outcome: StartupOutcome::Success,
            server_count: 4,
            connected_server_count: 3,
            tool_count: 42,
            server_protocols: ServerProtocolCounts::of(["stdio", "stdio", "streamable-http", "carrier-pigeon"]),
            routing_mode: RoutingMode::RetrieveTools,
            feature_flags: FeatureFlags {
                enable_socket: true,
                enable_web_ui: false,
                enable_prompts: true,
                require_mcp_auth: false,
                enable_code_execution: false,
                quarantine_enabled: true,
                sensitive_data_detection_enabled: false,
                oauth_provider_types: vec![OauthProvider::Github, OauthProvider::Github].into(),
                docker_available: Some(false),
            },
            surface_requests: SurfaceRequests {
                mcp: Count(120),
                cli: Count(3),
                webui: Count(0),
                tray: Count(40),
                unknown: Count(0),
            },
            builtin_tool_calls: BuiltinToolCalls {
                retrieve_tools: Count(12),
                call_tool_read: Count(30),
                call_tool_write: Count(4),
                call_tool_destructive: Count(0),
                upstream_servers: Count(1),
                quarantine_security: Count(0),
                code_execution: Count(0),
            },
            upstream_tool_calls: 34,
            errors: ErrorCategoryCounts {
                upstream_connect_timeout: Some(Count(1)),
                ..ErrorCategoryCounts::NONE
            },
            env_kind: EnvKind::Interactive,
            env_markers: EnvMarkers {
                has_display: true,
                ..EnvMarkers::default()
            },
            launch_source: LaunchSource::Tray,
            autostart_enabled: None,
            activation: Activation {
                first_mcp_client_ever: true,
                mcp_clients_seen_ever: ["claude-code", "acme-payroll-agent", "acme-other-agent", "unknown"]
                    .map(String::from)
                    .into(),
                ..Activation::default()
            },
        }
    }
}

impl HeartbeatPayload {
    /// Builds the heartbeat of a snapshot.
    pub fn of(snapshot: &Snapshot) -> HeartbeatPayload {
        HeartbeatPayload {
            anonymous_id: snapshot.anonymous_id.clone(),
            version: Version::new(&snapshot.version),
            edition: Edition::Personal,
            os: Os::this(),
            arch: Arch::this(),
            go_version: RuntimeVersion::this(),
            server_count: snapshot.server_count.into(),
            connected_server_count: snapshot.connected_server_count.into(),
            tool_count: snapshot.tool_count.into(),
            uptime_hours: (snapshot.uptime / 3600).into(),
            routing_mode: snapshot.routing_mode,
            quarantine_enabled: snapshot.feature_flags.quarantine_enabled,
            timestamp: Moment::from_unix(snapshot.now),
            schema_version: SchemaVersion(3),
            anonymous_id_created_at: snapshot.anonymous_id_created_at.clone(),
            current_version: Version::new(&snapshot.version),
            previous_version: Version::new(&snapshot.previous_version),
            last_startup_outcome: snapshot.last_startup_outcome,
            surface_requests: snapshot.surface_requests.clone(),
            builtin_tool_calls: snapshot.builtin_tool_calls.clone(),
            upstream_tool_call_count_bucket: CallCountBucket::of(snapshot.upstream_tool_calls),
            rest_endpoint_calls: EndpointCalls::default(),
            feature_flags: snapshot.feature_flags.clone(),
            error_category_counts: snapshot.errors.clone(),
            doctor_checks: DoctorChecks::default(),
            server_protocol_counts: snapshot.server_protocols.clone(),
            server_docker_isolated_count: None,
            env_kind: snapshot.env_kind,
            env_markers: snapshot.env_markers,
            launch_source: snapshot.launch_source,
            autostart_enabled: Known(snapshot.autostart_enabled),
            activation: ActivationReport::from(&snapshot.activation),
        }
    }

    /// The JSON Schema of the heartbeat, as stored in `assets/telemetry/heartbeat-v3.schema.json`.
    pub fn schema() -> serde_json::Value {
        let mut schema = HeartbeatPayload::RULE.schema();
        if let serde_json::Value::Object(map) = &mut schema {
            map.shift_insert(0, "$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
            map.shift_insert(1, "title".into(), "MCPProxy heartbeat, schema version 3".into());
        }
        schema
    }
}

impl Skeleton {
    /// Builds the skeleton of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Skeleton {
        Skeleton {
            anonymous_id: snapshot.anonymous_id.clone(),
            schema_version: SchemaVersion(3),
            edition: Edition::Personal,
            os: Os::this(),
            arch: Arch::this(),
            server_count: snapshot.server_count.into(),
            connected_server_count: snapshot.connected_server_count.into(),
            tool_count: snapshot.tool_count.into(),
            uptime_hours: (snapshot.uptime / 3600).into(),
            env_kind: snapshot.env_kind,
            env_markers: snapshot.env_markers,
            launch_source: snapshot.launch_source,
            autostart_enabled: Known(snapshot.autostart_enabled),
        }
    }
}

#[cfg(test)]
mod tests;
