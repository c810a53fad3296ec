//! Types of the REST and SSE interface, as the core writes them and as clients read them from either core.
//!
//! Reading is lenient: the existing core leaves fields out and writes `null` for empty lists (contract: core-http).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::contract::lenient::{activation_or_none, known_or_none};
use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource};

/// Body of every JSON answer: `{"success":true,"data":…}` or `{"success":false,"error":"…"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<T> {
    #[serde(default = "yes")]
    pub success: bool,
    #[serde(default = "none::<T>", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn none<T>() -> Option<T> {
    None
}

/// An answer that does not say so is told by its status code.
fn yes() -> bool {
    true
}

impl<T> Envelope<T> {
    /// A success with its data.
    pub fn ok(data: T) -> Envelope<T> {
        Envelope {
            success: true,
            data: Some(data),
            error: None,
        }
    }
}

impl Envelope<()> {
    /// A failure with a sentence for a person.
    pub fn failed(error: impl Into<String>) -> Envelope<()> {
        Envelope {
            success: false,
            data: None,
            error: Some(error.into()),
        }
    }
}

/// `GET /ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    pub ready: bool,
}

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
    pub routing_mode: String,
    /// Unix seconds.
    #[serde(default)]
    pub timestamp: i64,
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub env_kind: Option<EnvKind>,
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub env_markers: Option<EnvMarkers>,
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub launch_source: Option<LaunchSource>,
    /// `null` where the tray has not said.
    #[serde(default)]
    pub autostart_enabled: Option<bool>,
    #[serde(
        default,
        deserialize_with = "activation_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub activation: Option<Activation>,
    /// Absent in the existing core.
    #[serde(default, deserialize_with = "known_or_none", skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryState>,
    /// A sentence for a person whose edit of the configuration is not in force; absent in the existing core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// What the last look for a newer release found; absent before the first, and in the existing core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// Whether anything is noted and sent, in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TelemetryState {
    /// Nobody has switched it off.
    pub enabled: bool,
    /// `on`, `off`, or `waiting` for what the reason says.
    #[serde(default)]
    pub sending: String,
    /// A sentence for a person.
    #[serde(default)]
    pub reason: String,
    /// A person has been told what is sent, and how to stop it.
    #[serde(default)]
    pub notice_shown: bool,
}

/// Counts over all upstream servers, and each one's state.
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
    pub state: String,
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
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
}

/// The core's own phase, nested in [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreStatus {
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub listen_addr: String,
    #[serde(default)]
    pub phase: String,
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
    /// The existing core puts its API key in here: never shown, never logged. Ours serves no page and sends "".
    #[serde(default)]
    pub web_ui_url: String,
    #[serde(default)]
    pub listen_addr: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub endpoints: Endpoints,
    /// `tray`, `installer` or empty.
    #[serde(default)]
    pub launched_by: String,
    #[serde(default)]
    pub pid: u32,
    /// Which program answers: [`names::IMPLEMENTATION`](super::names::IMPLEMENTATION) for this one; absent in the existing core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation: Option<String>,
    /// Whether `POST /api/v1/shutdown` is there; absent in the existing core.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_shut_down: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// What the last look for a newer release found; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// Whether the core looks for newer releases by itself, in [`Info`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdatePolicy {
    #[serde(default)]
    pub enabled: bool,
    /// `stable` or `rc`.
    #[serde(default)]
    pub channel: String,
    /// Nobody wants to be told.
    #[serde(default)]
    pub nudges_suppressed: bool,
}

/// What is known of a newer release, in [`Info`] and [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Update {
    #[serde(default)]
    pub available: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<String>,
    /// The page that tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_url: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_prerelease: bool,
    /// Why it is not known, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_error: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nudges_suppressed: bool,
}

impl Update {
    /// The newer version and its page, where a person should be told of them.
    pub fn news(&self) -> Option<(&str, &str)> {
        let told = self.available && !self.nudges_suppressed;
        let page = self.release_url.as_deref().filter(|page| page.starts_with("https://"))?;
        self.latest_version.as_deref().filter(|_| told).map(|version| (version.trim_start_matches('v'), page))
    }
}

/// Addresses in [`Info`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    #[serde(default)]
    pub http: String,
    #[serde(default)]
    pub socket: String,
}

/// `data` of `GET /api/v1/servers`, and `payload` of the SSE event `servers.changed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Servers {
    #[serde(default, deserialize_with = "null_as_default")]
    pub servers: Vec<Server>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub stats: ServerStats,
}

/// Counts in [`Servers`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStats {
    #[serde(default)]
    pub total_servers: u32,
    #[serde(default)]
    pub connected_servers: u32,
    #[serde(default)]
    pub quarantined_servers: u32,
    #[serde(default)]
    pub total_tools: u32,
    #[serde(default)]
    pub docker_containers: u32,
}

/// One upstream server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub enabled: bool,
    #[serde(default)]
    pub quarantined: bool,
    #[serde(default)]
    pub connected: bool,
    #[serde(default)]
    pub connecting: bool,
    /// `stdio`, `http`, `sse`, `streamable-http` or `auto`.
    #[serde(default)]
    pub protocol: String,
    /// `disabled`, `quarantined`, `connecting`, `connected`, `error` or `disconnected`.
    #[serde(default)]
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default)]
    pub tool_count: u32,
    #[serde(default)]
    pub reconnect_count: u32,
    /// Tools that wait for approval; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineCounts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Somebody has signed in to it by a browser.
    #[serde(default)]
    pub authenticated: bool,
    /// `none`, `pending`, `authenticated` or `error`; absent where signing in is not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_status: Option<String>,
}

/// How many tools of a server wait, in [`Server`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineCounts {
    #[serde(default)]
    pub pending_count: u32,
    #[serde(default)]
    pub changed_count: u32,
    #[serde(default)]
    pub blocked_count: u32,
}

/// `data` of `GET /api/v1/activity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityList {
    #[serde(default, deserialize_with = "null_as_default")]
    pub activities: Vec<ActivityRecord>,
    #[serde(default)]
    pub total: usize,
    #[serde(default)]
    pub limit: usize,
    #[serde(default)]
    pub offset: usize,
}

/// One call in [`ActivityList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityRecord {
    #[serde(default)]
    pub id: String,
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub tool_name: String,
    /// `success`, `error` or `blocked`; the existing core also says `rejected`.
    #[serde(default)]
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default)]
    pub duration_ms: u64,
    /// RFC 3339.
    #[serde(default)]
    pub timestamp: String,
    #[serde(default)]
    pub has_sensitive_data: bool,
}

/// `data` of `GET /api/v1/activity/summary`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActivitySummary {
    pub period: String,
    pub total_count: usize,
    pub success_count: usize,
    pub error_count: usize,
    pub blocked_count: usize,
    pub rejected_count: usize,
    pub top_servers: Vec<ActivityCount>,
    pub start_time: String,
    pub end_time: String,
}

/// How often something was called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActivityCount {
    pub name: String,
    pub count: u64,
}

/// `data` of `GET /api/v1/servers/{name}/tools`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerTools {
    #[serde(default)]
    pub server_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub tools: Vec<ServerTool>,
    #[serde(default)]
    pub count: u32,
}

/// One tool in [`ServerTools`]. Its text is the server's own, approved or not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerTool {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub description: String,
    /// `approved`, `pending` or `changed`.
    #[serde(default)]
    pub approval_status: String,
    /// The server's entry switches it off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    #[serde(default)]
    pub hash: String,
    #[serde(default)]
    pub schema: serde_json::Value,
    /// The approved description of a changed tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_description: Option<String>,
    /// The parts of a changed tool that differ, in the protocol's words.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// `data` of `POST /api/v1/servers/{name}/tools/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approved {
    #[serde(default)]
    pub approved: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    pub tools: Vec<String>,
    #[serde(default)]
    pub message: String,
}

/// `data` of `GET /api/v1/tools`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllTools {
    #[serde(default, deserialize_with = "null_as_default")]
    pub tools: Vec<ServerTool>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub stats: ServerStats,
}

/// `data` of `GET /api/v1/index/search`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundTools {
    #[serde(default)]
    pub query: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub results: Vec<FoundTool>,
    #[serde(default)]
    pub total: u32,
}

/// One tool in [`FoundTools`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundTool {
    #[serde(default)]
    pub score: f32,
    #[serde(default)]
    pub tool: ServerTool,
    /// The call tool that fits it.
    #[serde(default)]
    pub call_with: String,
}

/// `data` of `GET /api/v1/profiles`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileList {
    #[serde(default, deserialize_with = "null_as_default")]
    pub profiles: Vec<Profile>,
}

/// A named set of servers, in [`ProfileList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    #[serde(default)]
    pub name: String,
    /// Those that exist.
    #[serde(default, deserialize_with = "null_as_default")]
    pub servers: Vec<String>,
    #[serde(default)]
    pub tool_count: u32,
}

/// `data` of `GET /api/v1/profiles/active`: the profile of sessions that choose none; empty for no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveProfile {
    #[serde(default)]
    pub active_profile: String,
}

/// `data` of `GET /api/v1/takeover`: what became of the Go core's data directory; empty if there was none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Takeover {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over_at: Option<String>,
    /// Whether the Go core's database was read.
    pub complete: bool,
    /// Whether a person has been told.
    pub shown: bool,
    /// One sentence.
    pub summary: String,
    /// The whole, for a person.
    pub text: String,
    /// The same as a value.
    pub plan: serde_json::Value,
}

/// `data` of `GET /api/v1/diagnostics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostics {
    #[serde(default)]
    pub total_issues: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    pub upstream_errors: Vec<UpstreamError>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub oauth_required: Vec<OauthRequired>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub missing_secrets: Vec<MissingSecret>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub runtime_warnings: Vec<String>,
    /// RFC 3339.
    #[serde(default)]
    pub timestamp: String,
}

/// A server that does not work, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamError {
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub error_message: String,
    #[serde(default)]
    pub timestamp: String,
}

/// A server that waits for a person to sign in, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OauthRequired {
    #[serde(default)]
    pub server_name: String,
    /// As `oauth_status` of [`Server`].
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub message: String,
}

/// A secret that entries refer to and that is nowhere, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingSecret {
    #[serde(default)]
    pub secret_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub used_by: Vec<String>,
}

/// What a person should know of a server, and the one thing to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    #[serde(default)]
    pub level: String,
    /// `enabled`, `disabled` or `quarantined`.
    #[serde(default)]
    pub admin_state: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `login`, `restart`, `enable`, `approve`, `view_logs`, `set_secret` or `configure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// One AI client of this computer, in the list that `GET /api/v1/connect` answers with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AiClient {
    /// `claude-code`, `cursor`, …
    #[serde(default)]
    pub id: String,
    /// The name that people know.
    #[serde(default)]
    pub name: String,
    /// Whether its configuration, or the directory for it, is there.
    #[serde(default)]
    pub exists: bool,
    /// Whether that names this core. The existing core's list never says yes: only a client asked for by itself is read.
    #[serde(default)]
    pub connected: bool,
    /// Whether the core can write its configuration on this system.
    #[serde(default)]
    pub supported: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub config_path: String,
    /// `unknown` (not read), `accessible`, `absent`, `malformed` or `denied`.
    #[serde(default)]
    pub access_state: String,
    /// The name of our entry, where it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// `data` of `GET /api/v1/connect/{id}/preview`: what a POST would write. Nothing in it is a secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectPreview {
    #[serde(default)]
    pub client: String,
    #[serde(default)]
    pub config_path: String,
    /// `json`, `toml` or `yaml`.
    #[serde(default)]
    pub format: String,
    /// The key of the object that holds the client's servers.
    #[serde(default)]
    pub server_key: String,
    /// The name that the entry has or would have.
    #[serde(default)]
    pub server_name: String,
    /// The entry; a key in it is masked.
    #[serde(default)]
    pub entry: serde_json::Map<String, serde_json::Value>,
    /// The same as a file with nothing else in it.
    #[serde(default)]
    pub entry_text: String,
    /// Whether an entry of this name is there.
    #[serde(default)]
    pub entry_exists: bool,
    /// Whether the entry would hold the key of the core.
    #[serde(default)]
    pub contains_api_key: bool,
    /// `accessible`, `absent` or `malformed`.
    #[serde(default)]
    pub access_state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_entry_summary: Option<EntrySummary>,
    /// Stands for the file and the request as they are: a POST with it writes nothing else, to nothing else.
    #[serde(default)]
    pub precondition_token: String,
    /// Why a POST would be refused whatever it says; a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_refusal: Option<String>,
}

/// An entry that is there, without what may be a secret, in [`ConnectPreview`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntrySummary {
    #[serde(default)]
    pub entry_name: String,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Scheme, host and port of its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The program that it starts, without arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub header_names: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub env_names: Vec<String>,
}

/// `data` of a POST or DELETE to `/api/v1/connect/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectResult {
    #[serde(default)]
    pub success: bool,
    #[serde(default)]
    pub client: String,
    #[serde(default)]
    pub config_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_path: Option<String>,
    #[serde(default)]
    pub server_name: String,
    /// What was done (`created`, `updated`, `already_exists`, `removed`, `restored`, `deleted`), or why nothing
    /// (`already_exists`, `not_found`, `precondition_failed`, `conflict`, …).
    #[serde(default)]
    pub action: String,
    /// A sentence for a person.
    #[serde(default)]
    pub message: String,
}

/// `data` of a POST to `/api/v1/servers/{name}/{action}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerAction {
    pub server: String,
    pub action: String,
    pub success: bool,
}

/// `data` of a POST to `/api/v1/servers/{name}/login`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginStarted {
    #[serde(default)]
    pub success: bool,
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub correlation_id: String,
    /// Where the person signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_url: Option<String>,
    /// Whether the core has asked the desktop to open it.
    #[serde(default)]
    pub browser_opened: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_error: Option<String>,
    #[serde(default)]
    pub message: String,
}

/// Every SSE event but `status` and `ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventBody<T> {
    pub payload: T,
    /// Unix seconds.
    pub timestamp: i64,
}

/// `payload` of `servers.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServersChanged {
    /// `state`, or `resync` when what was missed is not known.
    pub reason: String,
    #[serde(flatten)]
    pub servers: Servers,
}

/// `data` of `ping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ping {
    /// Unix seconds.
    pub timestamp: i64,
}

/// SSE event name: the first event of a stream, and again when a number in it changes.
pub const EVENT_STATUS: &str = "status";
/// SSE event name: keeps the stream alive, every 30 s.
pub const EVENT_PING: &str = "ping";
/// SSE event name: servers came, went or changed their state.
pub const EVENT_SERVERS_CHANGED: &str = "servers.changed";

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_existing_core_may_leave_out_and_null_what_it_likes() {
        let status: Status = serde_json::from_str(
            r#"{"running":true,"upstream_stats":null,"status":{"phase":"Ready"},"activation":null}"#,
        )
        .unwrap();
        assert_eq!(status.status.phase, "Ready");
        assert_eq!(status.autostart_enabled, None);
        let servers: Servers = serde_json::from_str(r#"{"servers":null}"#).unwrap();
        assert!(servers.servers.is_empty());
        let server: Server = serde_json::from_str(r#"{"name":"a","args":null,"oauth":null}"#).unwrap();
        assert_eq!(server.name, "a");
    }

    #[test]
    fn autostart_is_null_and_not_absent_when_unknown() {
        let status: Status = serde_json::from_str("{}").unwrap();
        let written = serde_json::to_value(status).unwrap();
        assert!(written["autostart_enabled"].is_null());
        assert!(written.as_object().unwrap().contains_key("autostart_enabled"));
    }
}
