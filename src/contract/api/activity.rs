//! `/activity`: the record of tool calls, decisions and changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::api::lenient::null_as_default;
use crate::contract::words::{
    ActivityKind, ActivitySource, ActivityStatus, CallIntent, DetectionPlace, SensitiveSeverity,
};

/// `data` of `GET /api/v1/activity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityList {
    #[serde(default, deserialize_with = "null_as_default")]
    pub activities: Vec<ActivityRecord>,
    /// Number of records that match the query, on this page and all others; 0 with `exclude_total`.
    #[serde(default)]
    pub total: usize,
    #[serde(default)]
    pub limit: usize,
    #[serde(default)]
    pub offset: usize,
}

/// One entry in [`ActivityList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityRecord {
    #[serde(default)]
    pub id: String,
    #[serde(default, rename = "type")]
    pub kind: ActivityKind,
    /// `mcp` for AI clients, `api` for REST, the command line and the web UI, `core` for changes.
    #[serde(default)]
    pub source: ActivitySource,
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub tool_name: String,
    /// Only the Go core uses `rejected`.
    #[serde(default)]
    pub status: ActivityStatus,
    /// The first line of the error, cut at 200 characters, with secrets replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default)]
    pub duration_ms: u64,
    /// RFC 3339.
    #[serde(default)]
    pub timestamp: String,
    /// Name of the AI client, as reported by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Identifies the session. Not the real session ID, with which another program could join the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Only if the client called through one of the three call tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<CallIntent>,
    /// Length of the arguments, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Length of the result's contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// Estimated o200k tokens of the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_tokens: Option<u64>,
    /// Estimated o200k tokens of the text that the client received: the result, or the error. Images are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_tokens: Option<u64>,
    /// The entry's part in the tokens saved: on the first `tools/list` of a session that searches, the tokens of all
    /// tools less those of the list; on its searches, the tokens of the result as a negative number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_tokens: Option<i64>,
    /// The arguments, only if `activity_bodies` stores them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// The result's text, only if `activity_bodies` stores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub response_truncated: bool,
    /// Whether the arguments or the result contained something that looks like a secret or personal number.
    #[serde(default)]
    pub has_sensitive_data: bool,
    /// The rules that found something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detection_types: Vec<String>,
    /// The findings of each rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detections: Vec<Detection>,
    /// The severity of the most severe finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<SensitiveSeverity>,
    /// Details of a change: the actor, the method and the differences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// `data` of `GET /api/v1/activity/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OneActivity {
    pub activity: ActivityRecord,
}

/// Sensitive data that a rule found in a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// The rule, such as `github-token`.
    pub rule: String,
    pub place: DetectionPlace,
    pub count: u32,
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

/// `data` of `GET /api/v1/activity/usage`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActivityUsage {
    /// The window, such as `24h`.
    pub window: String,
    pub generated_at: String,
    pub tools: Vec<ToolUsage>,
    /// The calls of each server, with an empty `tool`.
    pub servers: Vec<ToolUsage>,
    /// Equal parts of the window, the oldest first.
    pub timeline: Vec<UsagePeriod>,
}

/// The calls of one tool in [`ActivityUsage`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ToolUsage {
    pub server: String,
    pub tool: String,
    pub calls: u64,
    pub errors: u64,
    pub error_rate: f64,
    pub blocked: u64,
    pub total_resp_bytes: u64,
    pub total_req_bytes: u64,
    /// Estimated o200k tokens of all results and of all arguments.
    pub total_resp_tokens: u64,
    pub total_req_tokens: u64,
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub last_used: String,
}

/// A part of the window in [`ActivityUsage`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsagePeriod {
    pub start: String,
    pub calls: u64,
    pub errors: u64,
    pub total_resp_bytes: u64,
}

/// `data` of `POST /api/v1/activity/purge`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActivityPurged {
    pub removed: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of an earlier version, and records with types, origins and outcomes that this version does not know.
    const RECORDS: &str = include_str!("../../../tests/data/activity/records.jsonl");

    #[test]
    fn a_record_of_another_version_is_written_as_it_was_read() {
        let mut unknown = 0;
        for line in RECORDS.lines() {
            let record: ActivityRecord = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
            unknown += usize::from(matches!(record.kind, ActivityKind::Unknown(_)));
        }
        assert_eq!((RECORDS.lines().count(), unknown), (7, 2));
    }
}
