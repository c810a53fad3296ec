//! The history of a server's entry: who added it and when, and who last changed what it runs. Every edit goes through here, so
//! the review can say whose entry it is.

use serde_json::{Map, Value, json};

use crate::config::document::{Document, EditError};
use crate::contract::visible_text::one_line;
use crate::control::review::{decide_the_same, is_person};

/// The keys of an entry that hold its history. Only this program writes them.
const KEYS: [&str; 3] = ["added_by", "created", "changed_by"];

/// Records an edit by `by` in the history of each server that it adds or changes, and undoes what the edit itself wrote there.
/// Keys that do not decide what runs, such as `enabled`, are recorded in the activity log only.
///
/// # Errors
/// [`EditError::Shape`], also for a new server whose name has characters that cannot be seen.
pub fn record(before: &Document, after: &mut Document, by: &str) -> Result<(), EditError> {
    let known: std::collections::BTreeMap<String, Map<String, Value>> = before.entries().into_iter().collect();
    for (name, entry) in after.entries() {
        let history = match known.get(&name) {
            Some(known) if *known == entry => continue,
            Some(known) => {
                let text = |key: &str| known.get(key).cloned();
                let changed = if decide_the_same(known, &entry) {
                    text("changed_by")
                } else {
                    Some(json!(changed_by(known.get("changed_by").and_then(Value::as_str), by)))
                };
                [text("added_by"), text("created"), changed]
            }
            None if one_line(&name) != name => return Err(unseen(&name)),
            None => [Some(json!(by)), Some(now()), None],
        };
        for (key, value) in KEYS.into_iter().zip(history) {
            match value {
                Some(value) if entry.get(key) == Some(&value) => {}
                Some(value) => after.set_in_server(&name, key, value)?,
                None if entry.contains_key(key) => after.remove_in_server(&name, key)?,
                None => {}
            }
        }
    }
    Ok(())
}

fn unseen(name: &str) -> EditError {
    EditError::Shape(format!("invalid server name `{}`: it contains characters that cannot be seen", one_line(name)))
}

/// A person's change does not vouch for what a model or another program wrote before, so that stays on record.
fn changed_by(previous: Option<&str>, by: &str) -> String {
    let Some(previous) = previous.filter(|previous| is_person(by) && !is_person(previous)) else {
        return by.to_owned();
    };
    let first = previous.rsplit_once(THEN).filter(|(_, last)| is_person(last)).map_or(previous, |(first, _)| first);
    format!("{first}{THEN}{by}")
}

const THEN: &str = ", then ";

fn now() -> Value {
    json!(format!("{:.0}", crate::os::clock::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(before: &Value, after: &Value, by: &str) -> Value {
        let document = |servers: &Value| Document::parse(&json!({"mcpServers": servers}).to_string()).unwrap();
        let mut edited = document(after);
        record(&document(before), &mut edited, by).unwrap();
        serde_json::from_str::<Value>(&edited.text()).unwrap()["mcpServers"].take()
    }

    #[test]
    fn what_runs_decides_who_changed_it() {
        let before = json!([{"name": "a", "command": "x", "added_by": "tray", "created": "then"}]);
        for (change, by) in [
            (json!({"enabled": false, "quarantined": true}), Value::Null),
            (json!({"added_by": "web UI", "created": "now", "changed_by": "web UI"}), Value::Null),
            (json!({"command": "y"}), json!("REST")),
            (json!({"env": {"A": "1"}, "changed_by": "tray"}), json!("REST")),
        ] {
            let mut after = before.clone();
            after[0].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let now = recorded(&before, &after, "REST");
            let history = (&now[0]["added_by"], &now[0]["created"], now[0]["changed_by"].clone());
            assert_eq!(history, (&json!("tray"), &json!("then"), by), "{change}");
        }
    }

    #[test]
    fn a_new_entry_says_nothing_about_itself() {
        let forged =
            json!([{"name": "a", "command": "x", "added_by": "tray", "created": "then", "changed_by": "tray"}]);
        let now = recorded(&json!([]), &forged, "model in c");
        assert_eq!((&now[0]["added_by"], now[0].get("changed_by")), (&json!("model in c"), None));
        assert_ne!(now[0]["created"], "then");
    }

    #[test]
    fn a_new_name_can_be_seen_and_an_old_one_stays() {
        let odd = json!([{"name": "git\u{200b}hub", "command": "x"}]);
        let document = |servers: &Value| Document::parse(&json!({"mcpServers": servers}).to_string()).unwrap();
        let error = record(&document(&json!([])), &mut document(&odd), "REST").unwrap_err().to_string();
        assert!(error.contains("cannot be seen"), "{error}");
        record(&document(&odd), &mut document(&odd), "REST").unwrap();
    }

    #[test]
    fn a_change_by_a_person_does_not_hide_an_earlier_one_by_a_model() {
        for (previous, by, expected) in [
            (None, "web UI", "web UI"),
            (Some("tray"), "web UI", "web UI"),
            (Some("model in c"), "web UI", "model in c, then web UI"),
            (Some("model in c, then web UI"), "tray", "model in c, then tray"),
            (Some("model in c, then web UI"), "REST", "REST"),
            (Some("web UI"), "model in c", "model in c"),
        ] {
            assert_eq!(changed_by(previous, by), expected);
        }
    }
}
