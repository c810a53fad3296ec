//! `/tools` and `/index/search`: tools, and searches for tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::api::servers::ServerStats;
use crate::contract::words::{ApprovalStatus, CallTool};

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

/// One tool in [`ServerTools`]. Its text comes from the server and may not be approved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerTool {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub approval_status: ApprovalStatus,
    /// The server's configuration entry disables the tool.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    #[serde(default)]
    pub hash: String,
    #[serde(default)]
    pub schema: serde_json::Value,
    /// The approved description of a changed tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_description: Option<String>,
    /// The changed parts of a changed tool, as field names of MCP.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
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
    /// Only if requested with `explain=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SearchCounts>,
}

/// Results of AI clients' searches since the core started: counts only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchCounts {
    #[serde(default)]
    pub searches: u64,
    /// Searches that were followed by a call of a tool that they had returned.
    #[serde(default)]
    pub led_to_call: u64,
    /// Searches whose best result was called.
    #[serde(default)]
    pub called_best: u64,
    /// Searches of which one of the best five results was called.
    #[serde(default)]
    pub called_first_five: u64,
    /// Total length of all results, in bytes.
    #[serde(default)]
    pub result_bytes: u64,
    /// Estimated o200k tokens of all results, at the tokens per byte of the latest one.
    #[serde(default)]
    pub result_tokens: u64,
}

impl SearchCounts {
    /// Describes the counts to the user.
    pub fn in_words(&self) -> String {
        let SearchCounts {
            searches,
            led_to_call,
            called_best,
            called_first_five,
            ..
        } = self;
        if *searches == 0 {
            return "No AI client has searched since MCPProxy started.".to_owned();
        }
        format!(
            "Searches by AI clients since MCPProxy started: {searches}; {led_to_call} led to a call \
            ({called_best} to the best tool, {called_first_five} to one of the best five)"
        )
    }
}

/// Why a tool has its rank.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankExplanation {
    #[serde(default, deserialize_with = "null_as_default")]
    pub words: Vec<WordExplanation>,
    /// Share of the tool's name that the query contains, from 0 to 1.
    #[serde(default)]
    pub share_of_name: f32,
    /// Share of the query that the tool matches, weighted by how rare its words are.
    #[serde(default)]
    pub share_of_query: f32,
}

/// The contribution of one word of a query to a tool's score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WordExplanation {
    #[serde(default)]
    pub word: String,
    #[serde(default)]
    pub adds: f32,
    /// The match, such as: synonym `file`. Empty if the word matches nothing.
    #[serde(default)]
    pub matches: String,
}

/// One tool in [`FoundTools`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundTool {
    #[serde(default)]
    pub score: f32,
    #[serde(default)]
    pub tool: ServerTool,
    /// The call tool to use for it.
    #[serde(default)]
    pub call_with: CallTool,
    /// Only if requested with `explain=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<RankExplanation>,
}
