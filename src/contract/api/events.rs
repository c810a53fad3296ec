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
