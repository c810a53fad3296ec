//! Isolation settings: `docker_isolation`, and `isolation` of a server, with the rules of the existing core.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::deserialize::string_or_none;

/// Isolation from this computer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Isolation {
    /// `true` means `docker`, unless `mode` is set.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// `docker`, `sandbox` or `none`. Takes precedence over `enabled`.
    #[serde(default, deserialize_with = "string_or_none")]
    pub mode: Option<String>,
}

/// The mode without isolation.
pub(crate) const NONE: &str = "none";

impl Isolation {
    /// The isolation of a server, given the settings for all servers.
    pub(crate) fn within(&self, all: &Isolation) -> Isolation {
        let default = match (&all.mode, all.enabled) {
            (Some(mode), _) => mode.as_str(),
            (None, Some(true)) => "docker",
            (None, _) => NONE,
        };
        let inherited = if self.enabled == Some(false) { NONE } else { default };
        Isolation {
            enabled: self.enabled,
            mode: Some(self.mode.as_deref().unwrap_or(inherited).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn isolated(all: &str, own: &str, server: &str) -> bool {
        let text =
            format!(r#"{{"docker_isolation": {all}, "mcpServers": [{{"name": "s", "isolation": {own}, {server}}}]}}"#);
        Config::parse(Path::new("/c.json"), &text).unwrap().servers[0].must_be_isolated().is_some()
    }

    #[test]
    fn a_server_that_is_to_be_shut_off_is_found_by_the_existing_cores_rules() {
        let npx = r#""command": "npx""#;
        for (all, own, server, expected) in [
            ("null", "null", npx, false),
            (r#"{"enabled": true}"#, "null", npx, true),
            (r#"{"enabled": true, "default_images": {}}"#, r#"{"image": "x"}"#, npx, true),
            (r#"{"enabled": true}"#, r#"{"enabled": false}"#, npx, false),
            (r#"{"enabled": true}"#, r#"{"enabled": false, "mode": "none"}"#, npx, false),
            (r#"{"enabled": false}"#, r#"{"enabled": true}"#, npx, false),
            (r#"{"enabled": false}"#, r#"{"mode": "docker"}"#, npx, true),
            (r#"{"mode": "sandbox"}"#, "{}", npx, true),
            (r#"{"enabled": true, "mode": "none"}"#, "{}", npx, false),
            (r#"{"enabled": true}"#, "{}", r#""url": "http://h/""#, false),
            (r#"{"enabled": true}"#, "{}", r#""command": "/usr/bin/docker""#, false),
        ] {
            assert_eq!(isolated(all, own, server), expected, "{all} {own} {server}");
        }
    }
}
