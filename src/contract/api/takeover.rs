//! Profiles, and the result of taking over the Go core's data directory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;

/// `data` of `GET /api/v1/profiles`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileList {
    #[serde(default, deserialize_with = "null_as_default")]
    pub profiles: Vec<Profile>,
}

/// A named set of servers, in [`ProfileList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    #[serde(default)]
    pub name: String,
    /// The profile's servers that exist.
    #[serde(default, deserialize_with = "null_as_default")]
    pub servers: Vec<String>,
    #[serde(default)]
    pub tool_count: u32,
}

/// `data` of `GET /api/v1/profiles/active`: the profile of sessions that did not choose one; empty for no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveProfile {
    #[serde(default)]
    pub active_profile: String,
}

/// `data` of `GET /api/v1/takeover`: the result of taking over the Go core's data directory; empty if there was none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Takeover {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over_at: Option<String>,
    /// Whether the Go core's database was read.
    pub complete: bool,
    /// Whether the user has seen the report.
    pub shown: bool,
    /// The result in one sentence.
    pub summary: String,
    /// The full report as text.
    pub text: String,
    /// The full report as JSON.
    pub plan: serde_json::Value,
}
