//! `/activity`: the latest tool calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;

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
    /// `success`, `error` or `blocked`; the Go core also uses `rejected`.
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

/// The number of calls of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActivityCount {
    pub name: String,
    pub count: u64,
}
