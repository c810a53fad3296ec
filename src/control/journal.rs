//! Reports the changes of an edit of the configuration to the activity log.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::activity::Change;
use crate::config::ServerConfig;
use crate::config::document::Document;
use crate::contract::exact_numbers::released;
use crate::contract::words::ActivityKind;

/// Settings whose changes are recorded without their values.
const WITHOUT_VALUES: [&str; 1] = ["mcpServers"];

/// Keys of `telemetry` that MCPProxy sets itself. They are not recorded: the log would keep an identifier that the user
/// has deleted.
const INTERNAL: [&str; 4] = [
    "anonymous_id",
    "anonymous_id_created_at",
    "last_reported_version",
    "notice_shown",
];

/// The details of a recorded change. Pages and other programs read its JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Details {
    Removed,
    Added { needs_approval: bool },
    Quarantined,
    Approved,
    Enabled,
    Disabled,
    Changed(Difference),
}

/// The changed keys of a server's entry, or the changed settings with their values.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    Fields(Vec<&'static str>),
    Settings(BTreeMap<String, ChangedSetting>),
}

/// A setting before and after; `null` if it is missing.
#[derive(Debug, Serialize)]
struct ChangedSetting {
    before: Option<Value>,
    after: Option<Value>,
}

impl Details {
    fn json(self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// Returns the reports about the differences between two sets of servers, without values of `env`, `headers` and
/// arguments, which may contain secrets.
pub(super) fn server_changes(before: &[ServerConfig], after: &[ServerConfig], by: &str) -> Vec<Change> {
    let by_name = |servers: &[ServerConfig]| -> BTreeMap<String, ServerConfig> {
        servers.iter().map(|server| (server.name.clone(), server.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let report = |kind, name: &str, details: Details| Change {
        kind,
        by: by.to_owned(),
        server: name.to_owned(),
        details: details.json(),
        ..Change::default()
    };
    let mut found = Vec::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        found.push(report(ActivityKind::ConfigChange, name, Details::Removed));
    }
    for (name, now) in &after {
        let Some(then) = before.get(name) else {
            let details = Details::Added {
                needs_approval: now.quarantined,
            };
            found.push(report(ActivityKind::ConfigChange, name, details));
            continue;
        };
        if then.quarantined != now.quarantined {
            let details = if now.quarantined { Details::Quarantined } else { Details::Approved };
            found.push(report(ActivityKind::QuarantineChange, name, details));
        }
        if then.enabled != now.enabled {
            let details = if now.enabled { Details::Enabled } else { Details::Disabled };
            found.push(report(ActivityKind::ConfigChange, name, details));
        }
        let fields = changed_fields(then, now);
        if !fields.is_empty() {
            found.push(report(ActivityKind::ConfigChange, name, Details::Changed(Difference::Fields(fields))));
        }
    }
    found
}

fn changed_fields(then: &ServerConfig, now: &ServerConfig) -> Vec<&'static str> {
    let pairs = [
        ("command", then.command != now.command),
        ("args", then.args != now.args),
        ("env", then.env != now.env),
        ("working_dir", then.working_dir != now.working_dir),
        ("url", then.url != now.url),
        ("headers", then.headers != now.headers),
        ("protocol", then.protocol != now.protocol),
        ("isolation", then.isolation_keys != now.isolation_keys),
        ("trust_mode", then.trust_mode != now.trust_mode),
        ("enabled_tools", then.enabled_tools != now.enabled_tools),
        ("disabled_tools", then.disabled_tools != now.disabled_tools),
        ("activity_bodies", then.activity_bodies != now.activity_bodies),
        ("sensitive_data", then.sensitive_data != now.sensitive_data),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Returns the report about global settings, with their values before and after, and masked secrets.
pub(super) fn settings_change(before: &Document, after: &Document, by: &str) -> Option<Change> {
    let (before, after) = (recorded(before), recorded(after));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: BTreeMap<String, ChangedSetting> = keys
        .into_iter()
        .filter(|key| !WITHOUT_VALUES.contains(&key.as_str()) && before.get(*key) != after.get(*key))
        .map(|key| {
            let (before, after) = (before.get(key).cloned(), after.get(key).cloned());
            (key.clone(), ChangedSetting { before, after })
        })
        .collect();
    (!changed.is_empty()).then(|| Change {
        kind: ActivityKind::ConfigChange,
        by: by.to_owned(),
        details: Details::Changed(Difference::Settings(changed)).json(),
        ..Change::default()
    })
}

/// Returns the settings of a document that are recorded, with masked secrets.
fn recorded(document: &Document) -> Map<String, Value> {
    let Value::Object(mut settings) = released(&document.masked()) else { return Map::new() };
    if let Some(Value::Object(telemetry)) = settings.get_mut("telemetry") {
        telemetry.retain(|key, _| !INTERNAL.contains(&key.as_str()));
        if telemetry.is_empty() {
            settings.remove("telemetry");
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(name: &str) -> ServerConfig {
        ServerConfig {
            name: name.to_owned(),
            command: Some("true".to_owned()),
            enabled: true,
            quarantined: true,
            ..ServerConfig::default()
        }
    }

    #[test]
    fn each_kind_of_change_is_told_and_no_value_is_repeated() {
        let (kept, gone, new) = (server("kept"), server("gone"), server("new"));
        let mut changed = kept.clone();
        changed.quarantined = false;
        changed.env.insert("TOKEN".into(), "hunter2".into());
        let found = server_changes(&[kept, gone], &[changed, new], "tray");
        let told: Vec<(&str, &str, String)> = found
            .iter()
            .map(|change| (change.kind.word(), change.server.as_str(), change.details.as_ref().unwrap().to_string()))
            .collect();
        assert_eq!(
            told,
            [
                ("config_change", "gone", r#"{"action":"removed"}"#.to_owned()),
                ("quarantine_change", "kept", r#"{"action":"approved"}"#.to_owned()),
                ("config_change", "kept", r#"{"action":"changed","fields":["env"]}"#.to_owned()),
                ("config_change", "new", r#"{"action":"added","needs_approval":true}"#.to_owned()),
            ]
        );
        assert!(!format!("{found:?}").contains("hunter2"));
        assert!(server_changes(&[server("a")], &[server("a")], "tray").is_empty());
    }

    #[test]
    fn an_identifier_for_usage_reports_is_not_recorded() {
        let before = Document::new("127.0.0.1:0", "k");
        let mut after = before.clone();
        after.set_telemetry("anonymous_id", json!("deleted"));
        after.set_telemetry("notice_shown", json!(true));
        assert!(settings_change(&before, &after, "MCPProxy").is_none());
        after.set_telemetry("enabled", json!(false));
        let change = settings_change(&before, &after, "tray").unwrap();
        let details = change.details.unwrap();
        assert_eq!(details["settings"], json!({"telemetry": {"before": null, "after": {"enabled": false}}}));
    }
}
