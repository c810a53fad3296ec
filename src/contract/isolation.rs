//! What the review shows about isolation and variables, as the programs exchange it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server will be isolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IsolationFacts {
    /// The word in the configuration: `auto`, `sandbox`, `sandbox_or_none`, `docker` or `none`.
    pub configured: String,
    /// What it comes to on this machine: `none`, `sandbox`, `docker`, `own_container`, `remote` or `refused`.
    pub effective: String,
    /// Why it is less than was asked for, or why the server does not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `on`, `loopback` or `off`; `on` where nothing limits it.
    pub network: String,
    /// One sentence for people.
    pub summary: String,
}

/// A variable that a server receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariableFact {
    pub name: String,
    /// `allow_list`, `inherited`, `settings` or `entry`.
    pub source: String,
    /// The references in its value, such as `${keyring:TOKEN}`; the value itself is never here.
    pub references: Vec<String>,
    /// Whether it changes which code runs.
    pub changes_code: bool,
}
