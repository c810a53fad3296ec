//! Closed sets of values in JSON. Each enum keeps unknown values, because the Go core and other versions have more.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines an enum of string values with an `Unknown` variant for all others; the default is the empty string.
macro_rules! words {
    ($($(#[$about:meta])* $name:ident { $($(#[$detail:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$detail])* $variant,)+
            /// A value of the Go core or of another version.
            Unknown(String),
        }

        impl $name {
            /// Every known value.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// Returns the value in JSON.
            pub fn word(&self) -> &str {
                match self {
                    $($name::$variant => $word,)+
                    $name::Unknown(word) => word,
                }
            }
        }

        impl Default for $name {
            fn default() -> $name {
                $name::from("")
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> $name {
                match word {
                    $($word => $name::$variant,)+
                    word => $name::Unknown(word.to_owned()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                deserializer.deserialize_str(WordVisitor(PhantomData))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "enum": $name::WORDS})
            }
        }

        #[cfg(test)]
        impl PartialEq<&str> for $name {
            fn eq(&self, word: &&str) -> bool {
                self.word() == *word
            }
        }
    )+};
}

/// Reads a value without copying its text first: a list of the activity log reads thousands of them.
struct WordVisitor<T>(PhantomData<T>);

impl<T: for<'a> From<&'a str>> Visitor<'_> for WordVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
        Ok(T::from(word))
    }
}

words! {
    /// The type of a record in the activity log.
    #[derive(PartialOrd, Ord)]
    ActivityKind {
        /// A call of a server's tool.
        ToolCall = "tool_call",
        /// A call of a tool of MCPProxy itself, such as the search.
        InternalToolCall = "internal_tool_call",
        /// The approval or quarantine of a server.
        QuarantineChange = "quarantine_change",
        /// An approval of tools.
        ToolQuarantineChange = "tool_quarantine_change",
        /// A change of the settings or of a server's entry.
        ConfigChange = "config_change",
        /// A change of a server's state: it connected, or failed.
        ServerChange = "server_change",
        /// A run or preview of a fix for a server's problem.
        ServerFix = "server_fix",
        /// The core's start.
        SystemStart = "system_start",
        /// The core's end.
        SystemStop = "system_stop",
    }

    /// The outcome of a recorded call or change.
    #[derive(PartialOrd, Ord)]
    ActivityStatus {
        Success = "success",
        Error = "error",
        Blocked = "blocked",
        /// Only in the Go core.
        Rejected = "rejected",
    }

    /// The origin of a record in the activity log.
    ActivitySource {
        Mcp = "mcp",
        /// REST, the command line and the web UI.
        Api = "api",
        /// MCPProxy itself: every record of a change.
        Core = "core",
    }

    /// The kind of operation that a client declared for a call.
    CallIntent {
        Read = "read",
        Write = "write",
        Destructive = "destructive",
    }

    /// The severity of sensitive data, in ascending order.
    #[derive(PartialOrd, Ord)]
    SensitiveSeverity {
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }

    /// The part of a call that contained sensitive data.
    DetectionPlace {
        Arguments = "arguments",
        Result = "result",
    }

    /// The status of a server.
    ServerStatus {
        Disabled = "disabled",
        Quarantined = "quarantined",
        Connecting = "connecting",
        Connected = "connected",
        Error = "error",
        Disconnected = "disconnected",
    }

    /// An action on a server.
    ServerActionKind {
        Add = "add",
        Patch = "patch",
        Remove = "remove",
        Enable = "enable",
        Disable = "disable",
        Restart = "restart",
        Quarantine = "quarantine",
        /// The Go core's name for `approve`.
        Unquarantine = "unquarantine",
        Approve = "approve",
        Inspect = "inspect",
        Login = "login",
        Logout = "logout",
        EnableTool = "enable_tool",
        DisableTool = "disable_tool",
    }

    /// The severity of a problem.
    ProblemSeverity {
        Warn = "warn",
        Error = "error",
    }

    /// The outcome of a fix.
    FixOutcome {
        Success = "success",
        Failed = "failed",
        Blocked = "blocked",
    }

    /// The transport of a server.
    ServerProtocol {
        Stdio = "stdio",
        Http = "http",
        Sse = "sse",
        StreamableHttp = "streamable-http",
        Auto = "auto",
    }

    /// The sign-in to a server.
    SignInStatus {
        /// The user has not signed in.
        None = "none",
        /// A browser is open.
        Pending = "pending",
        Authenticated = "authenticated",
        Error = "error",
    }

    /// The health of a server.
    HealthLevel {
        Healthy = "healthy",
        Degraded = "degraded",
        Unhealthy = "unhealthy",
    }

    /// The user's setting for a server.
    AdminState {
        Enabled = "enabled",
        Disabled = "disabled",
        Quarantined = "quarantined",
    }

    /// The recommended action for a server.
    HealthAction {
        Login = "login",
        Restart = "restart",
        Enable = "enable",
        Approve = "approve",
        ViewLogs = "view_logs",
        SetSecret = "set_secret",
        Configure = "configure",
    }

    /// Whether a tool, a prompt or a resource template may be used.
    ApprovalStatus {
        Approved = "approved",
        /// New.
        Pending = "pending",
        /// Changed since it was approved.
        Changed = "changed",
    }

    /// Whether a client's configuration can be read.
    AccessState {
        /// It was not read.
        NotChecked = "unknown",
        Accessible = "accessible",
        Absent = "absent",
        Malformed = "malformed",
        Denied = "denied",
    }

    /// The format of a client's configuration.
    FileFormat {
        Json = "json",
        Toml = "toml",
        Yaml = "yaml",
    }

    /// The change of a client's configuration, or why there was none.
    ConnectAction {
        Created = "created",
        Updated = "updated",
        AlreadyExists = "already_exists",
        Removed = "removed",
        Restored = "restored",
        Deleted = "deleted",
        Unsupported = "unsupported",
        NotFound = "not_found",
        Conflict = "conflict",
        PreconditionFailed = "precondition_failed",
        Malformed = "malformed",
        Denied = "denied",
        Failed = "failed",
    }

    /// Whether reports are sent.
    Sending {
        On = "on",
        Off = "off",
        /// The reason says what it waits for.
        Waiting = "waiting",
    }

    /// A condition that must be met before a report can be sent.
    SendingNeeds {
        /// A collector: no URL is set, and none is built in.
        Endpoint = "endpoint",
        /// A usable URL of the collector: the one that is set is neither HTTPS nor on this computer.
        ValidEndpoint = "valid_endpoint",
        /// The user must see the notice.
        Notice = "notice",
    }

    /// The kind of releases that an update check considers.
    ReleaseChannel {
        Stable = "stable",
        Candidates = "rc",
    }

    /// The program that started a core.
    LaunchedBy {
        Tray = "tray",
        Installer = "installer",
        /// The user, or a program that does not identify itself.
        Other = "",
    }

    /// The phase of a core.
    CorePhase {
        Starting = "Starting",
        Ready = "Ready",
        Stopping = "Stopping",
        Stopped = "Stopped",
    }

    /// The tools that `/mcp` offers.
    RoutingMode {
        RetrieveTools = "retrieve_tools",
        Direct = "direct",
        CodeExecution = "code_execution",
    }

    /// Whether an AI client uses its session.
    SessionStatus {
        Active = "active",
        Closed = "closed",
    }

    /// The target of a reference in a server's entry.
    ReferenceKind {
        /// A secret in the keychain.
        Keyring = "keyring",
        /// An environment variable.
        Env = "env",
    }

    /// Whether a fix is described or done.
    FixMode {
        DryRun = "dry_run",
        Execute = "execute",
    }

    /// An operating system, in the Go core's words.
    OperatingSystem {
        Linux = "linux",
        MacOs = "darwin",
        Windows = "windows",
        Other = "other",
    }

    /// The isolation that a server's entry asks for.
    IsolationMode {
        Auto = "auto",
        Sandbox = "sandbox",
        SandboxOrNone = "sandbox_or_none",
        Docker = "docker",
        None = "none",
    }

    /// How a server is isolated on this machine.
    IsolationOutcome {
        None = "none",
        Sandbox = "sandbox",
        Docker = "docker",
        /// Its command starts a container itself.
        OwnContainer = "own_container",
        /// It runs on another machine.
        Remote = "remote",
        /// It does not start, because its isolation cannot be enforced.
        Refused = "refused",
    }

    /// The network that a server reaches.
    NetworkAccess {
        On = "on",
        /// This computer only.
        Loopback = "loopback",
        Off = "off",
    }

    /// Why a server receives an environment variable.
    VariableSource {
        /// Every server receives it.
        AllowList = "allow_list",
        /// The entry names it.
        Inherited = "inherited",
        /// The settings name it.
        Settings = "settings",
        /// The entry contains its value.
        Entry = "entry",
    }

    /// Whether a scanned tool may be used.
    ScannedState {
        Approved = "approved",
        Pending = "pending",
        Disabled = "disabled",
    }

    /// The origin of an automatic approval of a tool.
    AutomaticApproval {
        /// The scanner found nothing, and `trust_mode` allows it.
        Scan = "scan",
    }

    /// The call tool that a client should use.
    CallTool {
        Read = "call_tool_read",
        Write = "call_tool_write",
        Destructive = "call_tool_destructive",
    }

    /// Whether a server's publisher still supports it.
    RegistryStatus {
        Active = "active",
        Deprecated = "deprecated",
    }

    /// The origin of a registry.
    RegistryProvenance {
        Official = "official",
        /// The user added it.
        Custom = "custom",
    }

    /// Why a list of servers is sent.
    ChangeReason {
        State = "state",
        /// The client may have missed events.
        Resync = "resync",
    }
}

impl ActivityKind {
    /// Whether such a record is about a call of a tool. All others are about changes and decisions.
    pub fn is_call(&self) -> bool {
        matches!(self, ActivityKind::ToolCall | ActivityKind::InternalToolCall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_word_is_a_variant_and_an_unknown_one_survives() {
        let read = |text: &str| serde_json::from_str::<ServerStatus>(text).unwrap();
        assert_eq!(read(r#""connected""#), ServerStatus::Connected);
        assert_eq!(read(r#""tired""#), ServerStatus::Unknown("tired".into()));
        assert_eq!(read(r#""\u0063onnected""#), ServerStatus::Connected);
        for word in ServerStatus::WORDS.iter().chain(&["tired", ""]) {
            let text = format!("\"{word}\"");
            assert_eq!(serde_json::to_string(&read(&text)).unwrap(), text);
        }
        assert_eq!(ServerStatus::default(), "");
    }

    #[test]
    fn the_schema_lists_the_words() {
        let schema = schemars::SchemaGenerator::default().into_root_schema_for::<ReleaseChannel>();
        assert_eq!(schema.as_value()["enum"], serde_json::json!(["stable", "rc"]));
    }
}
