//! `/status` and `/info`: the core as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::lenient::{activation_or_none, known_or_none};
use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource};
use crate::contract::words::{
    CorePhase, LaunchedBy, ReleaseChannel, RoutingMode, Sending, SendingNeeds, ServerProtocol, ServerStatus,
};

/// `data` of `GET /api/v1/status`, and of the SSE event `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub edition: String,
    #[serde(default)]
    pub listen_addr: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub upstream_stats: UpstreamStats,
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: CoreStatus,
    #[serde(default)]
    pub routing_mode: RoutingMode,
    /// Unix seconds.
    #[serde(default)]
    pub timestamp: i64,
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub env_kind: Option<EnvKind>,
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub env_markers: Option<EnvMarkers>,
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub launch_source: Option<LaunchSource>,
    /// Whether launch at login is on; `null` if the tray has not reported it.
    #[serde(default)]
    pub autostart_enabled: Option<bool>,
    #[serde(
        default,
        deserialize_with = "activation_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub activation: Option<Activation>,
    /// Absent in the Go core.
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryState>,
    /// A message for the user if an edit of the configuration file is not in effect; absent in the Go core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The result of the last update check; absent before the first check and in the Go core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// Whether usage data is recorded and sent, in [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TelemetryState {
    /// Telemetry is not switched off.
    #[serde(default)]
    pub enabled: bool,
    #[serde(default)]
    pub sending: Sending,
    /// A message for the user.
    #[serde(default)]
    pub reason: String,
    /// The user has seen the notice about what is sent and how to turn it off.
    #[serde(default)]
    pub notice_shown: bool,
    /// The first condition that is not met before a report can be sent. Absent if all are met, while telemetry is off, and in
    /// older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<SendingNeeds>,
}

impl TelemetryState {
    /// Whether telemetry is on without effect: there is no collector that a report could be sent to. Cores that do not
    /// report it count as able to send.
    pub fn has_no_collector(&self) -> bool {
        matches!(self.needs, Some(SendingNeeds::Endpoint | SendingNeeds::ValidEndpoint))
    }
}

/// Counts over all upstream servers, and the state of each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamStats {
    #[serde(default)]
    pub total_servers: u32,
    #[serde(default)]
    pub connected_servers: u32,
    #[serde(default)]
    pub connecting_servers: u32,
    #[serde(default)]
    pub quarantined_servers: u32,
    #[serde(default)]
    pub total_tools: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    pub servers: BTreeMap<String, UpstreamState>,
}

/// One upstream server in [`UpstreamStats`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamState {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub state: ServerStatus,
    #[serde(default)]
    pub connected: bool,
    #[serde(default)]
    pub connecting: bool,
    #[serde(default)]
    pub retry_count: u32,
    #[serde(default)]
    pub should_retry: bool,
    #[serde(default)]
    pub tool_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ServerProtocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
}

/// The core's lifecycle phase, in [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreStatus {
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub listen_addr: String,
    #[serde(default)]
    pub phase: CorePhase,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub tools_indexed: u32,
    /// RFC 3339.
    #[serde(default)]
    pub last_updated: String,
    #[serde(default)]
    pub process_pid: u32,
}

/// `data` of `GET /api/v1/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    #[serde(default)]
    pub version: String,
    /// Always empty. The Go core puts its API key here, so clients must never show or log this value.
    #[serde(default)]
    pub web_ui_url: String,
    #[serde(default)]
    pub listen_addr: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub endpoints: Endpoints,
    #[serde(default)]
    pub launched_by: LaunchedBy,
    #[serde(default)]
    pub pid: u32,
    /// The program that answers: `names::IMPLEMENTATION` for this one; absent in the Go core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation: Option<String>,
    /// Whether the TCP address uses HTTPS; absent in the Go core, where clients must read the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub https: bool,
    /// Whether `POST /api/v1/shutdown` is available; absent in the Go core.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_shut_down: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// The result of the last update check; absent before the first check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// Settings of the automatic update check, in [`Info`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdatePolicy {
    #[serde(default)]
    pub enabled: bool,
    #[serde(default)]
    pub channel: ReleaseChannel,
    /// The user has turned off update notifications.
    #[serde(default)]
    pub nudges_suppressed: bool,
}

/// The available newer release, in [`Info`] and [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Update {
    #[serde(default)]
    pub available: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<String>,
    /// URL of the release page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_url: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_prerelease: bool,
    /// Why the update check failed, as a message for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_error: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nudges_suppressed: bool,
}

impl Update {
    /// Returns the newer version and its URL, if the user should be notified.
    pub fn news(&self) -> Option<(&str, &str)> {
        let told = self.available && !self.nudges_suppressed;
        let page = self.release_url.as_deref().filter(|page| page.starts_with("https://"))?;
        self.latest_version.as_deref().filter(|_| told).map(|version| (version.trim_start_matches('v'), page))
    }
}

/// URLs in [`Info`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    #[serde(default)]
    pub http: String,
    #[serde(default)]
    pub socket: String,
}

/// `data` of `POST /api/v1/ui/ticket`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UiTicket {
    /// URL that opens the web UI in a browser once, within 30 s.
    #[serde(default)]
    pub url: String,
}
