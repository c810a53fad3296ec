//! Values that describe how this core runs: shown by `status`, sent by telemetry, and determined in `telemetry`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of environment in which this core runs.
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
    /// Returns the value's name in JSON.
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

/// The evidence for [`EnvKind`]: five booleans, never the values of variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvMarkers {
    pub has_ci_env: bool,
    pub has_cloud_ide_env: bool,
    pub is_container: bool,
    pub has_tty: bool,
    pub has_display: bool,
}

/// The program or event that started this core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaunchSource {
    Installer,
    Tray,
    LoginItem,
    Cli,
    Unknown,
}

/// Tokens that `retrieve_tools` kept out of prompts in a day, as a range.
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

/// Milestones of this installation. Every field is always present: arrays are never `null`, and the bucket is never
/// empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// An upstream server has connected at least once.
    pub first_connected_server_ever: bool,
    /// An MCP client has connected at least once.
    pub first_mcp_client_ever: bool,
    /// `retrieve_tools` has been called at least once.
    pub first_retrieve_tools_call_ever: bool,
    /// Sanitised client names in the order of their first connection, 16 at most.
    pub mcp_clients_seen_ever: Vec<String>,
    /// Calls in the current 24 h window.
    pub retrieve_tools_calls_24h: u64,
    /// Tokens saved in the current 24 h window.
    pub estimated_tokens_saved_24h_bucket: TokensSavedBucket,
    /// AI clients on this computer whose configuration names this proxy.
    pub configured_ide_count: u32,
}
