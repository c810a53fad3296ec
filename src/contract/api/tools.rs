//! `/tools` and `/index/search`: tools and searches among them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::api::servers::ServerStats;

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
