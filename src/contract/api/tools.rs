//! `/tools` and `/index/search`: tools and searches among them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::api::servers::ServerStats;
use crate::contract::words::ApprovalStatus;

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
    #[serde(default)]
    pub approval_status: ApprovalStatus,
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
    /// Only with `explain=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<SearchCounts>,
}

/// How searches of AI clients ended since the start: counts only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchCounts {
    #[serde(default)]
    pub searches: u64,
    /// Searches after which a tool was called that they had returned.
    #[serde(default)]
    pub led_to_call: u64,
    /// Of those, how often the best tool was called.
    #[serde(default)]
    pub called_best: u64,
    /// Of those, how often one of the best five was called.
    #[serde(default)]
    pub called_first_five: u64,
}

/// Why a tool ranks where it does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankExplanation {
    #[serde(default, deserialize_with = "null_as_default")]
    pub words: Vec<WordExplanation>,
    /// Share of the tool's name that the query contains, from 0 to 1.
    #[serde(default)]
    pub share_of_name: f32,
    /// Share of the query, by the weight of its words, that the tool matches.
    #[serde(default)]
    pub share_of_query: f32,
}

/// What one word of a query adds to a tool's score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WordExplanation {
    #[serde(default)]
    pub word: String,
    #[serde(default)]
    pub adds: f32,
    /// What it matches, such as: synonym `file`. Empty if it matches nothing.
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
    /// The call tool that fits it.
    #[serde(default)]
    pub call_with: String,
    /// Only with `explain=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<RankExplanation>,
}
