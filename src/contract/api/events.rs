//! `/events`: the SSE stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::servers::Servers;
use crate::contract::words::ChangeReason;

/// Every SSE event except `status` and `ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventBody<T> {
    pub payload: T,
    /// Unix seconds.
    pub timestamp: i64,
}

/// `payload` of `servers.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServersChanged {
    pub reason: ChangeReason,
    #[serde(flatten)]
    pub servers: Servers,
}

/// `data` of `ping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ping {
    /// Unix seconds.
    pub timestamp: i64,
}

/// SSE event name: sent first on every stream, and again when one of its values changes.
pub const EVENT_STATUS: &str = "status";
/// SSE event name: sent every 30 s to keep the stream alive.
pub const EVENT_PING: &str = "ping";
/// SSE event name: a server was added, was removed or changed its state.
pub const EVENT_SERVERS_CHANGED: &str = "servers.changed";
/// SSE event names about records of the activity log. `payload` is an `ActivityRecord` without contents.
pub const ACTIVITY_EVENTS: [&str; 10] = [
    "activity.tool_call.completed",
    "activity.internal_tool_call.completed",
    "activity.policy_decision",
    "activity.quarantine_change",
    "activity.tool_quarantine_change",
    "activity.config_change",
    "activity.server_change",
    "activity.system.start",
    "activity.system.stop",
    "sensitive_data.detected",
];
