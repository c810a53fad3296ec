//! A server's health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A server's health, and the one action that would improve it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    #[serde(default)]
    pub level: String,
    /// `enabled`, `disabled` or `quarantined`.
    #[serde(default)]
    pub admin_state: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `login`, `restart`, `enable`, `approve`, `view_logs`, `set_secret` or `configure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}
