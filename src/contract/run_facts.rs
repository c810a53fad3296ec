//! The closed words that say what kind of run this is: shown by `status`, sent by telemetry, decided in `telemetry`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where this core runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvKind {
    Interactive,
    Ci,
    CloudIde,
    Container,
    Headless,
    Unknown,
}

impl EnvKind {
    /// The word as it stands in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            EnvKind::Interactive => "interactive",
            EnvKind::Ci => "ci",
            EnvKind::CloudIde => "cloud_ide",
            EnvKind::Container => "container",
            EnvKind::Headless => "headless",
            EnvKind::Unknown => "unknown",
        }
    }
}

/// What was seen while deciding [`EnvKind`]: five booleans, never a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvMarkers {
    pub has_ci_env: bool,
    pub has_cloud_ide_env: bool,
    pub is_container: bool,
    pub has_tty: bool,
    pub has_display: bool,
}

/// How this core was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaunchSource {
    Installer,
    Tray,
    LoginItem,
    Cli,
    Unknown,
}

/// Tokens that `retrieve_tools` kept out of prompts in a day, as a range (contract: cli-config-telemetry §6.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokensSavedBucket {
    #[default]
    #[serde(rename = "0")]
    Zero,
    #[serde(rename = "1_100")]
    UpTo100,
    #[serde(rename = "100_1k")]
    UpTo1k,
    #[serde(rename = "1k_10k")]
    UpTo10k,
    #[serde(rename = "10k_100k")]
    UpTo100k,
    #[serde(rename = "100k_plus")]
    Over100k,
}

/// How far this installation has come. Always complete: no `null` list, no empty bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// An upstream server has connected, once or more.
    pub first_connected_server_ever: bool,
    /// An MCP client has introduced itself, once or more.
    pub first_mcp_client_ever: bool,
    /// `retrieve_tools` has been called, once or more.
    pub first_retrieve_tools_call_ever: bool,
    /// Sanitised client names in the order of their first visit, 16 at most.
    pub mcp_clients_seen_ever: Vec<String>,
    /// Calls in the current 24 h window.
    pub retrieve_tools_calls_24h: u64,
    /// Tokens saved in the current 24 h window.
    pub estimated_tokens_saved_24h_bucket: TokensSavedBucket,
    /// AI clients on this computer whose configuration names this proxy.
    pub configured_ide_count: u32,
}
