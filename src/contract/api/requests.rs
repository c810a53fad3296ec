//! Bodies of requests, as the programs write them and the core reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contract::words::CallTool;

/// Body of `POST /api/v1/servers/{name}/tools/{tool}/enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolSwitch {
    pub enabled: bool,
}

/// Body of `POST /api/v1/tools/call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallRequest {
    pub tool_name: CallTool,
    /// `name` is the tool as `server:tool`; `args` are its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// Body of a POST or DELETE to `/api/v1/connect/{client}`, and of `…/undo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectRequest {
    /// Name of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The profile whose servers the client is to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Replaces an entry with the same name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// From the preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition_token: Option<String>,
    /// Only for `…/undo`: the backup to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
}

/// Body of `PUT /api/v1/profiles/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileServers {
    pub servers: Vec<String>,
}

/// Body of `PUT /api/v1/profiles/active`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileChoice {
    /// Empty for no limit.
    #[serde(alias = "active_profile")]
    pub profile: String,
}

/// Body of `POST /api/v1/takeover`. One of the two must be true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TakeoverRequest {
    /// The user has seen the report.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// Tries again to read the missing data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
}
