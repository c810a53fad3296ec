//! Settings of the Go core's configuration file that have no effect here, each with what happens instead.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::platform::Platform;

/// A setting that has another value than the Go core's default, and no effect here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// The key, with the names of what it is in: `logging.max_size`, `mcpServers.NAME.toon_output`.
    pub key: String,
    pub why: String,
}

/// The values that a new installation of the Go core writes.
const GO_DEFAULTS: &str = include_str!("go_defaults.json");

/// Keys that this core uses, or that need no action. Everything below such a key is included.
const IN_EFFECT: &[&str] = &[
    "registries",
    "listen",
    "enable_socket",
    "tray_endpoint",
    "data_dir",
    "api_key",
    "require_mcp_auth",
    "trusted_hosts",
    "mcpServers",
    "profiles",
    "active_profile",
    "routing_mode",
    "disable_management",
    "read_only_mode",
    "enable_management_tools",
    "allow_server_add",
    "allow_server_remove",
    "quarantine_enabled",
    "activity_bodies",
    "activity_retention_days",
    "activity_max_size_mb",
    "sensitive_data",
    "tools_limit",
    "direct_up_to_tokens",
    "tool_response_limit",
    "tool_response_mode",
    "call_tool_timeout",
    "max_concurrent_requests",
    "queue_size",
    "queue_timeout",
    "server_concurrency_defaults",
    "intent_declaration.strict_server_validation",
    "environment",
    "docker_isolation",
    "tls.enabled",
    "tls.certs_dir",
    "telemetry",
    "update_check",
    // Without effect in the Go core, too.
    "features",
    "enable_tray",
    "top_k",
    "$schema",
];

/// The same for an entry of `mcpServers`.
const IN_EFFECT_FOR_SERVER: &[&str] = &[
    "name",
    "protocol",
    "command",
    "args",
    "env",
    "inherit_env",
    "working_dir",
    "url",
    "headers",
    "oauth",
    "enabled",
    "quarantined",
    "skip_quarantine",
    "auto_approve_tool_changes",
    "trust_mode",
    "enabled_tools",
    "disabled_tools",
    "isolation",
    "expose_prompts",
    "init_timeout",
    "stray_output_timeout",
    "max_concurrent_requests",
    "queue_size",
    "queue_timeout",
    "activity_bodies",
    "sensitive_data",
    "added_by",
    "changed_by",
    "created",
    "updated",
    "source_registry_id",
    "source_registry_provenance",
];

/// The behaviour instead, by the key or its parent.
const WHY: &[(&str, &str)] = &[
    ("activity_", "the activity log has other limits: `activity_retention_days` and `activity_max_size_mb`"),
    (
        "aggregate_upstream_prompts",
        "prompts of servers are shown at `/mcp/all`; hide a server's with `expose_prompts`",
    ),
    ("code_execution_", "code execution does not exist here"),
    ("docker_recovery", "servers are restarted without it"),
    ("enable_code_execution", "code execution does not exist here"),
    ("forward_proxy_env", "proxy variables are passed as the `environment` block says"),
    ("http_", "the HTTP deadlines are fixed"),
    ("instructions", "clients get this core's own instructions"),
    ("logging", "logs are kept in `logs/` with fixed sizes"),
    ("max_result_size_chars", "the advertised result size is fixed"),
    ("output_", "results are passed on as the server sent them"),
    ("oauth_expiry_warning_hours", "sign-ins are refreshed without a warning period"),
    ("observability", "there are no metrics or traces"),
    ("reveal_secret_headers", "secrets are always masked"),
    ("security", "the scanners of the Go core do not exist here"),
    ("sensitive_data_detection", "set `sensitive_data` instead"),
    ("tls.require_client_cert", "client certificates are not checked, so this core does not start with it"),
    ("tls.hsts", "the HSTS header is not sent"),
    ("tokenizer", "tokens are estimated without a tokenizer"),
    ("toon_", "results are passed on as JSON"),
    ("health_check_interval", "servers are checked at a fixed interval"),
    ("tool_discovery_interval", "tools are listed when a server says that they have changed"),
    ("launcher_wait_timeout", "a server with a command is started as a stdio server"),
    ("reconnect_on_use", "a server that ended is always started again"),
    ("auth_broker", "it belongs to the server edition"),
    ("shared", "it belongs to the server edition"),
];

/// The settings of a document that differ from the Go core's defaults and have no effect here.
pub fn unused(document: &Value) -> Vec<Unused> {
    let defaults: Value = serde_json::from_str(GO_DEFAULTS).unwrap_or_default();
    let mut found = Vec::new();
    collect("", document, Some(&defaults), IN_EFFECT, &mut found);
    let servers = document.get("mcpServers").and_then(Value::as_array);
    for entry in servers.into_iter().flatten() {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut of_server = Vec::new();
        collect("", entry, None, IN_EFFECT_FOR_SERVER, &mut of_server);
        found.extend(of_server.into_iter().map(|key| format!("mcpServers.{name}.{key}")));
    }
    found.into_iter().map(|key| Unused { why: why(&key), key }).collect()
}

fn collect(prefix: &str, value: &Value, default: Option<&Value>, in_effect: &[&str], found: &mut Vec<String>) {
    let Some(fields) = value.as_object() else { return };
    for (key, value) in fields {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let default = default.and_then(|default| default.get(key));
        if in_effect.contains(&path.as_str()) || is_default(value, default) {
            continue;
        }
        // A block that is partly in effect, or of which only single keys differ, is listed by those keys.
        let is_partly_known = in_effect.iter().any(|known| known.starts_with(&format!("{path}.")));
        if value.is_object() && (is_partly_known || default.is_some()) {
            collect(&path, value, default, in_effect, found);
        } else {
            found.push(path);
        }
    }
}

/// Whether a value says nothing: what Go leaves out when it writes counts as the default where there is none.
fn is_default(value: &Value, default: Option<&Value>) -> bool {
    match (value, default) {
        (Value::Null, _) => true,
        (value, Some(default)) => value == default,
        (Value::Bool(flag), None) => !flag,
        (Value::String(text), None) => text.is_empty() || text == "0s" || text == "off",
        (Value::Number(number), None) => number.as_f64() == Some(0.0),
        (Value::Array(values), None) => values.is_empty(),
        (Value::Object(fields), None) => fields.values().all(|value| is_default(value, None)),
    }
}

fn why(path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or_default();
    let known = WHY.iter().find(|(key, _)| path.starts_with(key) || last.starts_with(key));
    known.map_or("this core does not know the setting", |(_, why)| why).to_owned()
}

/// Changes caused by settings that do have an effect; one sentence each.
pub fn notices(document: &Value, platform: Platform) -> Vec<String> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut notices = Vec::new();
    if text("routing_mode") == "code_execution" {
        notices.push(
            "`routing_mode` is `code_execution`: clients get the search tools (`retrieve_tools`) instead, because code \
             execution does not exist here."
                .to_owned(),
        );
    }
    let is_encrypted = document.get("tls").and_then(|block| block.get("enabled")).and_then(Value::as_bool);
    if is_encrypted == Some(true) && !platform.has_https() {
        notices.push(
            "`tls.enabled` is set: MCPProxy does not start with it, because it does not support HTTPS on this system."
                .to_owned(),
        );
    }
    let isolated = document.get("docker_isolation").and_then(|block| block.get("enabled")).and_then(Value::as_bool);
    if isolated == Some(true) {
        notices.push(
            "`docker_isolation` is on: local servers start in a container or not at all; they never start without it."
                .to_owned(),
        );
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mcpproxy_itself_writes_is_not_reported() {
        let entry = serde_json::json!({"name": "a", "command": "x", "added_by": "web UI", "changed_by": "tray",
            "created": "2026-01-01T00:00:00Z", "enabled": true, "quarantined": false});
        assert_eq!(unused(&serde_json::json!({"mcpServers": [entry]})), []);
    }

    #[test]
    fn encryption_that_a_system_does_not_have_is_a_notice_there() {
        let encrypted = serde_json::json!({"tls": {"enabled": true}});
        assert!(notices(&encrypted, Platform::Windows)[0].contains("does not support HTTPS on this system"));
        assert_eq!(notices(&encrypted, Platform::Linux), [""; 0]);
        assert_eq!(notices(&serde_json::json!({"tls": {"enabled": false}}), Platform::MacOs), [""; 0]);
    }

    #[test]
    fn every_key_of_this_core_has_an_effect() {
        let schema = crate::config::schema::schema();
        let known = |in_effect: &[&str], key: &str| {
            let below = format!("{key}.");
            in_effect.iter().any(|one| *one == key || one.starts_with(&below))
        };
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(known(IN_EFFECT, key), "{key}");
        }
        for key in schema["definitions"]["ServerConfig"]["properties"].as_object().unwrap().keys() {
            assert!(known(IN_EFFECT_FOR_SERVER, key), "mcpServers: {key}");
        }
    }
}
