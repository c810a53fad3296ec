//! `environment`: which of the session's variables servers receive. The keys are those of the Go core.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::deserialize::null_as_default;

/// The settings of `environment`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnvironmentFilter {
    /// Whether servers receive the allow-list at all.
    pub inherit_system_safe: bool,
    /// Names that servers receive instead of the built-in list; a name may end with `*`.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub allowed_system_vars: Vec<String>,
    /// Variables that every server receives.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub custom_vars: BTreeMap<String, String>,
    /// Whether servers receive the proxy variables; absent means yes.
    pub forward_proxy_env: Option<bool>,
}

impl Default for EnvironmentFilter {
    fn default() -> EnvironmentFilter {
        EnvironmentFilter {
            inherit_system_safe: true,
            allowed_system_vars: Vec::new(),
            custom_vars: BTreeMap::new(),
            forward_proxy_env: None,
        }
    }
}
