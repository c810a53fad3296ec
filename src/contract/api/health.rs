//! A server's health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::words::{AdminState, HealthAction, HealthLevel};

/// A server's health, and the one action that would improve it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    #[serde(default)]
    pub level: HealthLevel,
    #[serde(default)]
    pub admin_state: AdminState,
    #[serde(default)]
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<HealthAction>,
}
