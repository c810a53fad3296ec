//! `environment`: which of the session's variables servers receive. The keys are those of the Go core.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::deserialize::null_as_default;

/// The settings of `environment`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnvironmentFilter {
    /// Passes a short list of harmless variables, such as `PATH` and `HOME`, to servers.
    #[schemars(title = "Usual variables")]
    pub inherit_system_safe: bool,
    /// Names of variables to pass instead of the built-in list; a name may end with `*`.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Variables to pass instead")]
    pub allowed_system_vars: Vec<String>,
    /// Variables that every server receives.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>", title = "Variables for every server")]
    pub custom_vars: BTreeMap<String, String>,
    /// Passes proxy variables such as `HTTPS_PROXY` to servers. On unless `false`.
    #[schemars(title = "Proxy variables", extend("default" = true))]
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
