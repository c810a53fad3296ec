//! Responses of single routes, and failures with more than a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::clients::ConnectResult;
use crate::contract::words::{ConnectAction, RoutingMode};

/// `GET /livez` and its aliases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alive {
    /// Always `ok`.
    pub status: String,
}

/// `data` of `POST /api/v1/shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopping {
    pub stopping: bool,
}

/// `data` of `GET /api/v1/servers/{name}/logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerLogs {
    pub server_name: String,
    pub count: usize,
    /// Lines, the oldest first.
    pub logs: Vec<String>,
}

/// `data` of `GET /api/v1/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownConfig {
    /// The file with its secrets masked.
    pub config: serde_json::Value,
    pub config_path: String,
}

/// `data` of `GET /api/v1/routing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Routing {
    pub routing_mode: RoutingMode,
    /// What clients see.
    pub description: String,
    pub endpoints: RoutingEndpoints,
    pub available_modes: Vec<RoutingMode>,
}

/// Path of each kind of MCP endpoint, in [`Routing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingEndpoints {
    pub default: String,
    pub direct: String,
    pub retrieve_tools: String,
    pub code_execution: String,
}

/// Body of the response for a sign-in that is not possible, in the Go core's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginImpossible {
    pub success: bool,
    /// Always `validation_error`.
    pub error_type: String,
    pub server_name: String,
    pub message: String,
    pub suggestion: String,
    pub correlation_id: String,
}

/// Body of the response for a failed sign-in, in the Go core's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginFailed {
    pub success: bool,
    /// Always `flow_error`.
    pub error_type: String,
    /// Always `OAUTH_FLOW_FAILED`.
    pub error_code: String,
    pub server_name: String,
    pub correlation_id: String,
    pub request_id: String,
    pub message: String,
    pub suggestion: String,
    pub debug_hint: String,
}

/// Body of a change of an AI client's configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectRefused {
    pub success: bool,
    pub data: ConnectResult,
    pub error: String,
    pub action: ConnectAction,
}

/// Body of a request for a profile that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownProfile {
    pub success: bool,
    pub error: String,
    pub available: Vec<String>,
}
