//! Isolation and environment variables of a server, as shown in the review.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::words::{IsolationMode, IsolationOutcome, NetworkAccess, VariableSource};

/// How a server will be isolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IsolationFacts {
    /// The configured mode.
    pub configured: IsolationMode,
    /// The resulting mode on this machine.
    pub effective: IsolationOutcome,
    /// Why the isolation is weaker than configured, or why the server does not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Network access; `on` without isolation.
    pub network: NetworkAccess,
    /// The result in one sentence, for the user.
    pub summary: String,
}

/// An environment variable that a server receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariableFact {
    pub name: String,
    pub source: VariableSource,
    /// The references in its value, such as `${keyring:TOKEN}`; never the value itself.
    pub references: Vec<String>,
    /// Whether the variable can change which code runs.
    pub changes_code: bool,
}
