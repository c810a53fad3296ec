//! Changes of settings, the latest ones on the page, and how to undo one of them.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::config::document::MASK;
use crate::contract::api::ActivityRecord;
use crate::server::page::layout::{Frame, foreign, time, token};

/// A new value of the key at a path; `null` for the default.
pub(super) type Change = (Vec<String>, Value);

/// A change of settings that the activity log recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SettingsChange {
    /// The ID of its record.
    pub id: String,
    pub at: String,
    pub by: String,
    pub keys: Vec<ChangedKey>,
}

/// One changed value; `null` if the key was or is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ChangedKey {
    pub path: Vec<String>,
    pub before: Value,
    pub after: Value,
}

/// Why a change cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UndoError {
    #[error("`{0}` is a secret: its previous value was not kept. Enter it again.")]
    Secret(String),
    #[error("`{0}` was changed again since. Undo the later change first, or enter the value.")]
    ChangedAgain(String),
}

impl SettingsChange {
    /// Returns the change of settings in a record, if it is one.
    pub(super) fn of(record: &ActivityRecord) -> Option<SettingsChange> {
        let metadata = record.metadata.as_ref()?;
        let mut keys = Vec::new();
        for (key, change) in metadata.get("settings")?.as_object()? {
            let side = |name: &str| change.get(name).cloned().unwrap_or_default();
            differences(&mut vec![key.clone()], &side("before"), &side("after"), &mut keys);
        }
        (!keys.is_empty()).then(|| SettingsChange {
            id: record.id.clone(),
            at: record.timestamp.clone(),
            by: metadata.get("by").and_then(Value::as_str).unwrap_or_default().to_owned(),
            keys,
        })
    }

    /// Returns the changes that undo the change. `current` is the configuration without secrets.
    ///
    /// # Errors
    /// [`UndoError`]
    pub(super) fn undo(&self, current: &Value) -> Result<Vec<Change>, UndoError> {
        let mut changes = Vec::new();
        for key in &self.keys {
            let name = key.path.join(".");
            if is_secret(&key.before) || is_secret(&key.after) {
                return Err(UndoError::Secret(name));
            }
            let now = key.path.iter().try_fold(current, |value, key| value.get(key)).cloned().unwrap_or_default();
            if now != key.after {
                return Err(UndoError::ChangedAgain(name));
            }
            changes.push((key.path.clone(), key.before.clone()));
        }
        Ok(changes)
    }
}

/// Collects the values that differ, by their paths.
fn differences(path: &mut Vec<String>, before: &Value, after: &Value, found: &mut Vec<ChangedKey>) {
    let empty = Map::new();
    let fields = |value: &Value| matches!(value, Value::Object(_) | Value::Null);
    if fields(before) && fields(after) && before != after {
        let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let side = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
            path.push(name.clone());
            differences(path, &side(before), &side(after), found);
            path.pop();
        }
    } else if before != after {
        found.push(ChangedKey {
            path: path.clone(),
            before: before.clone(),
            after: after.clone(),
        });
    }
}

fn is_secret(value: &Value) -> bool {
    value.to_string().contains(MASK)
}

/// Returns the top-level settings that the changes concern, with their new values. `config` is the configuration without
/// secrets; REST restores masked values.
pub(super) fn changed(config: &Value, changes: Vec<Change>) -> Map<String, Value> {
    let mut settings = Map::new();
    for (path, value) in changes {
        if let [key, inner @ ..] = path.as_slice() {
            let stored = || config.get(key).cloned().unwrap_or_default();
            put(settings.entry(key).or_insert_with(stored), inner, value);
        }
    }
    settings
}

/// Sets the value at a path of keys; `null` removes a key of an object.
pub(super) fn put(into: &mut Value, path: &[String], value: Value) {
    let [key, inner @ ..] = path else {
        *into = value;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Some(fields) = into.as_object_mut() {
        if inner.is_empty() && value.is_null() {
            fields.shift_remove(key);
        } else {
            put(fields.entry(key).or_insert(Value::Null), inner, value);
        }
    }
}

/// Renders the latest changes, each with its button.
pub(super) fn view(frame: &Frame, changes: &[SettingsChange], current: &Value) -> Markup {
    html! {
        @if !changes.is_empty() {
            details.panel #changes {
                summary { "Latest changes" }
                ul.plain.changes { @for change in changes { li {
                    div.between {
                        span { (time(&change.at)) @if !change.by.is_empty() { span.quiet { " by " (foreign(&change.by)) } } }
                        (button(frame, change, current))
                    }
                    (values(change))
                } } }
            }
        }
    }
}

/// Renders the button that undoes a change, or why there is none.
pub(super) fn button(frame: &Frame, change: &SettingsChange, current: &Value) -> Markup {
    html! {
        @match change.undo(current) {
            Ok(_) => form.inline method="post" action="/ui/settings/undo" {
                (token(frame))
                input type="hidden" name="id" value=(change.id);
                button type="submit" { "Undo" span.hidden { " the change of " (name(change)) } }
            },
            Err(UndoError::Secret(_)) => span.quiet { "A secret: its previous value was not kept" },
            Err(UndoError::ChangedAgain(_)) => span.quiet { "Changed again since" },
        }
    }
}

fn name(change: &SettingsChange) -> String {
    change.keys.iter().map(|key| key.path.join(".")).collect::<Vec<_>>().join(", ")
}

/// Renders the values before and after a change.
pub(super) fn values(change: &SettingsChange) -> Markup {
    html! {
        dl.diff { @for key in &change.keys {
            dt { code { (foreign(&key.path.join("."))) } }
            dd { del { (shown(&key.before)) } ins { (shown(&key.after)) } }
        } }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "the default".to_owned(),
        Value::String(text) => foreign(text),
        other => foreign(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(settings: Value) -> SettingsChange {
        let record = ActivityRecord {
            id: "7".into(),
            metadata: Some(json!({"action": "changed", "by": "web UI", "settings": settings})),
            ..ActivityRecord::default()
        };
        SettingsChange::of(&record).unwrap()
    }

    #[test]
    fn a_change_is_undone_key_by_key() {
        let change = change(json!({
            "tools_limit": {"before": null, "after": 7},
            "tls": {"before": {"enabled": true, "key": "••• k"}, "after": {"enabled": false, "key": "••• k"}},
            "trusted_hosts": {"before": ["a"], "after": null},
        }));
        let current = json!({"tools_limit": 7, "tls": {"enabled": false, "key": "••• k"}, "other": 1});
        let expected = json!({"tools_limit": null, "tls": {"enabled": true, "key": "••• k"}, "trusted_hosts": ["a"]});
        assert_eq!(Value::Object(changed(&current, change.undo(&current).unwrap())), expected);
        assert!(view(&Frame::default(), &[change], &current).into_string().contains("Undo"));
    }

    #[test]
    fn an_added_variable_is_removed_again() {
        let change = change(json!({"environment": {"before": null, "after": {"custom_vars": {"A": "1"}}}}));
        let current = json!({"environment": {"custom_vars": {"A": "1", "B": "2"}}});
        let expected = json!({"environment": {"custom_vars": {"B": "2"}}});
        assert_eq!(Value::Object(changed(&current, change.undo(&current).unwrap())), expected);
    }

    #[test]
    fn a_later_change_and_a_secret_are_not_overwritten() {
        let change_of_limit = change(json!({"tools_limit": {"before": 5, "after": 7}}));
        let error = change_of_limit.undo(&json!({"tools_limit": 9})).unwrap_err();
        assert_eq!(error, UndoError::ChangedAgain("tools_limit".to_owned()));
        let mask = format!("{MASK} abcd");
        let secret = change(json!({"proxy_password": {"before": mask, "after": null}}));
        assert_eq!(secret.undo(&json!({})), Err(UndoError::Secret("proxy_password".to_owned())));
        assert!(button(&Frame::default(), &secret, &json!({})).into_string().contains("A secret"));
        assert_eq!(SettingsChange::of(&ActivityRecord::default()), None);
    }
}
