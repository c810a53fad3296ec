//! Responses in the Go core's format, for programs of its users: sessions, secrets, checks of a configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::words::{ReferenceKind, SessionStatus};

/// `data` of `GET /api/v1/sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionList {
    #[serde(deserialize_with = "null_as_default")]
    pub sessions: Vec<McpSession>,
    pub total: usize,
    pub limit: usize,
    pub offset: usize,
}

/// A session of an AI client, in [`SessionList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct McpSession {
    /// Identifies the session. Not the real session ID, with which another program could join the session.
    pub id: String,
    pub client_name: String,
    pub client_version: String,
    /// The version of MCP that the client asked for.
    pub protocol_version: String,
    /// `active`, or `closed` after 30 minutes without a request; a client can continue a closed session.
    pub status: SessionStatus,
    /// RFC 3339; empty if an older version opened the session.
    pub start_time: String,
    /// RFC 3339.
    pub last_activity: String,
    /// Number of tool calls of the session, including searches.
    pub tool_call_count: u64,
    /// Estimated o200k tokens of the arguments and results of its calls, as far as the activity log has them.
    pub total_tokens: u64,
    pub has_roots: bool,
    pub has_sampling: bool,
}

/// `data` of `GET /api/v1/sessions/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OneSession {
    pub session: McpSession,
}

/// `data` of `GET /api/v1/stats/tokens`: the tokens that the search saves a client, as estimated o200k tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenStats {
    /// Tokens of the definitions of all tools.
    pub total_server_tool_list_size: u64,
    /// Average tokens of a `retrieve_tools` result since the core started, at the tokens per byte of the latest one; 0
    /// before the first search.
    pub average_query_result_size: u64,
    /// The difference; 0 before the first search.
    pub saved_tokens: u64,
    pub saved_tokens_percentage: f64,
    pub per_server_tool_list_sizes: BTreeMap<String, u64>,
    pub savings: TokenSavings,
}

/// The tokens that the search saved AI clients, according to the activity log. All days are in UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenSavings {
    pub today: SavingsPeriod,
    /// The calendar month.
    pub this_month: SavingsPeriod,
    /// The newest day first.
    #[serde(deserialize_with = "null_as_default")]
    pub days: Vec<DaySavings>,
}

/// A period in [`TokenSavings`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SavingsPeriod {
    /// Number of tool calls, of all clients.
    pub calls: u64,
    /// Negative if the searches took more tokens than all tools would have taken.
    pub saved_tokens: i64,
}

/// A day of one AI client in [`TokenSavings`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DaySavings {
    /// `YYYY-MM-DD`
    pub day: String,
    /// Empty for clients without a name, and for all further ones of a day with more than 50 clients.
    pub client: String,
    /// Number of sessions that listed the search tools for the first time.
    pub sessions: u64,
    /// Tokens of the lists of all tools that these sessions would have received at `/mcp/all`.
    pub all_tools_tokens: u64,
    /// Tokens of their own lists, and of all results of `retrieve_tools` and `describe_tool`.
    pub received_tokens: u64,
    /// The difference.
    pub saved_tokens: i64,
}

/// `data` of `GET /api/v1/servers/{name}/tool-calls`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerToolCalls {
    pub server_name: String,
    #[serde(deserialize_with = "null_as_default")]
    pub tool_calls: Vec<ToolCall>,
    pub total: usize,
}

/// A call in [`ServerToolCalls`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ToolCall {
    pub id: String,
    /// The same as `server_name`.
    pub server_id: String,
    pub server_name: String,
    pub tool_name: String,
    /// Empty unless `activity_bodies` stores them.
    #[serde(deserialize_with = "null_as_default")]
    pub arguments: serde_json::Value,
    /// Absent unless `activity_bodies` stores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// In nanoseconds.
    pub duration: u64,
    /// RFC 3339.
    pub timestamp: String,
    pub config_path: String,
    /// Always `direct`.
    pub execution_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_client_name: Option<String>,
}

/// `data` of `GET /api/v1/secrets`: the names to which servers refer, never the values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretList {
    #[serde(deserialize_with = "null_as_default")]
    pub secrets: Vec<SecretStatus>,
    #[serde(deserialize_with = "null_as_default")]
    pub environment_vars: Vec<SecretStatus>,
    pub total_secrets: usize,
    pub total_env_vars: usize,
}

/// One name in [`SecretList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretStatus {
    pub secret_ref: SecretRef,
    /// Absent if the keychain cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_set: Option<bool>,
    pub used_by: Vec<String>,
}

/// The reference in a server's entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretRef {
    #[serde(rename = "type")]
    pub kind: ReferenceKind,
    pub name: String,
    /// The reference as written: `${keyring:NAME}`.
    pub original: String,
}

/// `data` of `POST /api/v1/config/validate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConfigCheck {
    pub valid: bool,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ConfigProblem>,
}

/// An error in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConfigProblem {
    /// The top-level key that contains the error; empty if unknown.
    pub field: String,
    pub message: String,
}

/// `data` of `POST /api/v1/config/apply` and `PATCH /api/v1/config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConfigApplied {
    pub success: bool,
    pub applied_immediately: bool,
    pub requires_restart: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_reason: Option<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub validation_errors: Vec<ConfigProblem>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub changed_fields: Vec<String>,
}

/// `data` of `POST /api/v1/servers/enable_all`, `disable_all` and `restart_all`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BulkResult {
    pub total: usize,
    pub successful: usize,
    pub failed: usize,
    /// Errors by server.
    #[serde(deserialize_with = "null_as_default")]
    pub errors: BTreeMap<String, String>,
}
