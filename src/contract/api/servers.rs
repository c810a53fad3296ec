//! `/servers`: upstream servers, their health, and actions on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::health::Health;
use crate::contract::api::lenient::null_as_default;
use crate::contract::api::problems::Diagnostic;
use crate::contract::words::{ServerActionKind, ServerProtocol, ServerStatus, SignInStatus};

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
    #[serde(default)]
    pub protocol: ServerProtocol,
    #[serde(default)]
    pub status: ServerStatus,
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
    /// Number of tools that need approval; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineCounts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Whether the user has signed in to the server in a browser.
    #[serde(default)]
    pub authenticated: bool,
    /// Absent if the server does not require sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_status: Option<SignInStatus>,
    /// The stable code of the server's problem; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Its problem and the remedy; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<Diagnostic>,
}

impl Server {
    /// Whether the server or some of its tools need approval.
    pub fn needs_approval(&self) -> bool {
        self.quarantined || self.waiting_tools().is_some()
    }

    /// Describes how many tools of the server need approval; `None` if there are none. The Go core calls such a server
    /// healthy.
    pub fn waiting_tools(&self) -> Option<String> {
        let counts = self.quarantine.unwrap_or_default();
        let tools = |count: u32, word: &str| match count {
            0 => None,
            1 => Some(format!("1 {word} tool")),
            many => Some(format!("{many} {word} tools")),
        };
        let parts = [
            tools(counts.pending_count, "new"),
            tools(counts.changed_count, "changed"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let one = counts.pending_count + counts.changed_count == 1;
        (!parts.is_empty()).then(|| format!("{} need{} approval", parts.join(" and "), if one { "s" } else { "" }))
    }
}

/// How many tools of a server need approval, in [`Server`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineCounts {
    #[serde(default)]
    pub pending_count: u32,
    #[serde(default)]
    pub changed_count: u32,
    #[serde(default)]
    pub blocked_count: u32,
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

/// `data` of a POST to `/api/v1/servers/{name}/{action}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerAction {
    pub server: String,
    pub action: ServerActionKind,
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
    /// URL of the sign-in page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_url: Option<String>,
    /// Whether the core has asked the desktop to open the URL in a browser.
    #[serde(default)]
    pub browser_opened: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_error: Option<String>,
    #[serde(default)]
    pub message: String,
}
