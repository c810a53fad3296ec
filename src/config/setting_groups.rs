//! The order of settings for people: on the settings page, on the page of a server, and in the documentation. Labels and
//! descriptions are in the schema.

/// Settings that belong together. Keys of an object are written `object.key`.
#[derive(Debug, Clone, Copy)]
pub struct SettingGroup {
    pub title: &'static str,
    /// The common ones, the most used first.
    pub usual: &'static [&'static str],
    /// Those that few people need.
    pub advanced: &'static [&'static str],
}

impl SettingGroup {
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.usual.iter().chain(self.advanced).copied()
    }
}

/// The settings of the configuration.
pub const SETTINGS: &[SettingGroup] = &[
    SettingGroup {
        title: "General",
        usual: &["call_tool_timeout", "tool_response_limit", "active_profile", "profiles"],
        advanced: &[
            "mcpServers",
            "registries",
            "max_concurrent_requests",
            "queue_size",
            "queue_timeout",
            "server_concurrency_defaults.max_concurrent_requests",
            "server_concurrency_defaults.queue_size",
            "server_concurrency_defaults.queue_timeout",
        ],
    },
    SettingGroup {
        title: "Tools and search",
        usual: &[
            "routing_mode",
            "direct_up_to_tokens",
            "tools_limit",
            "tool_response_mode",
        ],
        advanced: &[],
    },
    SettingGroup {
        title: "Approvals and safety",
        usual: &[
            "quarantine_enabled",
            "intent_declaration.strict_server_validation",
            "sensitive_data",
            "enable_management_tools",
            "allow_server_add",
            "allow_server_remove",
        ],
        advanced: &["disable_management", "read_only_mode"],
    },
    SettingGroup {
        title: "Isolation",
        usual: &[
            "docker_isolation.mode",
            "docker_isolation.network",
            "docker_isolation.read",
            "docker_isolation.write",
            "environment.custom_vars",
        ],
        advanced: &[
            "environment.inherit_system_safe",
            "environment.allowed_system_vars",
            "environment.forward_proxy_env",
            "docker_isolation.enabled",
            "docker_isolation.default_images",
            "docker_isolation.image",
            "docker_isolation.registry",
            "docker_isolation.memory_limit",
            "docker_isolation.cpu_limit",
            "docker_isolation.pids_limit",
            "docker_isolation.network_mode",
            "docker_isolation.timeout",
            "docker_isolation.extra_args",
            "docker_isolation.working_dir",
            "docker_isolation.enable_cache_volume",
            "docker_isolation.log_driver",
            "docker_isolation.log_max_size",
            "docker_isolation.log_max_files",
        ],
    },
    SettingGroup {
        title: "Activity",
        usual: &["activity_bodies", "activity_retention_days", "activity_max_size_mb"],
        advanced: &[],
    },
    SettingGroup {
        title: "Network and access",
        usual: &["listen", "require_mcp_auth", "api_key", "tls.enabled"],
        advanced: &[
            "trusted_hosts",
            "tls.certs_dir",
            "tls.require_client_cert",
            "enable_socket",
            "tray_endpoint",
        ],
    },
    SettingGroup {
        title: "Updates and telemetry",
        usual: &["update_check.enabled", "update_check.channel", "telemetry.enabled"],
        advanced: &[
            "update_check.manifest",
            "update_check.public_key",
            "telemetry.endpoint",
            "telemetry.notice_shown",
            "telemetry.anonymous_id",
            "telemetry.anonymous_id_created_at",
            "telemetry.last_reported_version",
        ],
    },
];

/// The options of a local server, without what it runs.
pub const LOCAL_SERVER: &[SettingGroup] = &[
    TOOLS_OF_A_SERVER,
    SettingGroup {
        title: "Isolation",
        usual: &[
            "isolation.mode",
            "isolation.network",
            "isolation.read",
            "isolation.write",
            "inherit_env",
        ],
        advanced: &[
            "isolation.enabled",
            "isolation.image",
            "isolation.registry",
            "isolation.memory_limit",
            "isolation.cpu_limit",
            "isolation.pids_limit",
            "isolation.network_mode",
            "isolation.timeout",
            "isolation.extra_args",
            "isolation.working_dir",
            "isolation.enable_cache_volume",
            "isolation.log_driver",
            "isolation.log_max_size",
            "isolation.log_max_files",
        ],
    },
    ACTIVITY_OF_A_SERVER,
    SettingGroup {
        title: "Limits",
        usual: &["init_timeout", "max_concurrent_requests"],
        advanced: &["queue_size", "queue_timeout", "stray_output_timeout"],
    },
];

/// The options of a remote server, without its URL.
pub const REMOTE_SERVER: &[SettingGroup] = &[
    TOOLS_OF_A_SERVER,
    SettingGroup {
        title: "Sign-in",
        usual: &["oauth.scopes", "oauth.client_id", "oauth.client_secret"],
        advanced: &["oauth.redirect_uri", "oauth.extra_params", "oauth.allow_missing_pkce"],
    },
    ACTIVITY_OF_A_SERVER,
    SettingGroup {
        title: "Limits",
        usual: &["init_timeout", "max_concurrent_requests"],
        advanced: &["queue_size", "queue_timeout", "protocol"],
    },
];

const TOOLS_OF_A_SERVER: SettingGroup = SettingGroup {
    title: "Tools and approval",
    usual: &["trust_mode", "enabled_tools", "disabled_tools", "expose_prompts"],
    advanced: &[],
};

const ACTIVITY_OF_A_SERVER: SettingGroup = SettingGroup {
    title: "Activity and sensitive data",
    usual: &["activity_bodies", "sensitive_data.arguments", "sensitive_data.results"],
    advanced: &[],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::schema::schema;
    use crate::config::server::SERVER_OPTIONS;

    fn top_level(groups: &[SettingGroup]) -> BTreeSet<&'static str> {
        groups.iter().flat_map(SettingGroup::keys).filter_map(|key| key.split('.').next()).collect()
    }

    #[test]
    fn every_key_has_one_place() {
        let schema = schema();
        let known: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(top_level(SETTINGS), known);
        for groups in [SETTINGS, LOCAL_SERVER, REMOTE_SERVER] {
            let all: Vec<&str> = groups.iter().flat_map(SettingGroup::keys).collect();
            let different: BTreeSet<&str> = all.iter().copied().collect();
            assert_eq!(all.len(), different.len(), "{all:?}");
        }
    }

    #[test]
    fn every_option_of_a_server_has_a_place() {
        let (local, remote) = (top_level(LOCAL_SERVER), top_level(REMOTE_SERVER));
        for option in SERVER_OPTIONS {
            assert!(local.contains(option), "{option}");
        }
        let schema = schema();
        let properties = schema["definitions"]["ServerConfig"]["properties"].as_object().unwrap();
        // On the server's own page, by an action, or the older names of `trust_mode`.
        let elsewhere = [
            "name",
            "command",
            "args",
            "env",
            "working_dir",
            "url",
            "headers",
            "enabled",
            "quarantined",
            "skip_quarantine",
            "auto_approve_tool_changes",
        ];
        for key in properties.keys().map(String::as_str) {
            let is_placed = local.contains(key) || remote.contains(key);
            assert!(is_placed != elsewhere.contains(&key), "{key}");
        }
    }

    #[test]
    fn every_key_has_a_label_and_a_sentence_that_says_more() {
        let schema = schema();
        let definitions = schema["definitions"].as_object().unwrap().iter();
        let shown = definitions.filter(|(name, _)| !["ProfileConfig", "RegistryConfig"].contains(&name.as_str()));
        for (name, object) in shown.chain([(&"Config".to_owned(), &schema)]) {
            for (key, value) in object["properties"].as_object().into_iter().flatten() {
                let label = value["title"].as_str().unwrap_or_default();
                let starts_well = label.starts_with(char::is_uppercase) && !label.contains(['`', '_', '.']);
                assert!(starts_well && label.len() <= 40, "{name}.{key}: `{label}`");
                let about = value["description"].as_str().unwrap_or_default();
                let is_object = value["$ref"].is_string() || value["allOf"].is_array() || value["anyOf"].is_array();
                assert!(is_object || about != label, "{name}.{key}");
            }
        }
        assert_ne!(schema["properties"]["listen"]["title"], Value::Null);
    }
}
