//! Changes that concern all servers, or the configuration as a whole.

use serde_json::{Map, Value, json};

use crate::config::document::{Document, EditError, MASK};
use crate::config::store::StoreError;
use crate::control::actor::acting;
use crate::control::servers::{Origin, ServerControl, hold_changed};

impl ServerControl {
    /// Enables or disables every server, in one edit; returns their names.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub async fn set_all_enabled(&self, enabled: bool) -> Result<Vec<String>, StoreError> {
        let edit = self.config().edit(move |document| {
            for name in document.server_names()? {
                document.set_in_server(&name, "enabled", json!(enabled))?;
            }
            Ok(())
        });
        edit.await?;
        Ok(self.config().current().servers.iter().map(|server| server.name.clone()).collect())
    }

    /// Restarts every server that may run; returns their names.
    pub fn restart_all(&self) -> Vec<String> {
        let config = self.config().current();
        let may_run = config.servers.iter().filter(|server| server.enabled && !server.quarantined);
        may_run.filter(|server| self.pool().restart(&server.name)).map(|server| server.name.clone()).collect()
    }

    /// Replaces settings by those of a complete configuration. Omitted settings and masked secrets keep their values. A
    /// server that is new or runs something else needs approval, unless the user makes the change.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub async fn apply(&self, settings: Map<String, Value>, origin: &Origin) -> Result<(), StoreError> {
        let quarantines = self.config().current().quarantines();
        let holds = quarantines && !origin.may_approve() && settings.contains_key("mcpServers");
        let edit = self.config().edit(move |document| {
            let mut before = document.clone();
            replace(document, settings.clone())?;
            if holds { hold_changed(&mut before, document) } else { Ok(()) }
        });
        acting(origin.to_string(), edit).await
    }
}

/// Replaces the settings of a document that `settings` names.
///
/// # Errors
/// A masked secret has no counterpart in the document.
pub fn replace(document: &mut Document, settings: Map<String, Value>) -> Result<(), EditError> {
    for (key, mut value) in settings {
        if key == "api_key" && value.as_str().is_none_or(str::is_empty) {
            continue;
        }
        restore(&mut value, document.get(&key), &key)?;
        document.set(&key, value);
    }
    Ok(())
}

/// Replaces masked secrets by their values.
fn restore(value: &mut Value, before: Option<&Value>, place: &str) -> Result<(), EditError> {
    match value {
        Value::String(text) if text.starts_with(MASK) => {
            let problem = format!("`{place}` is masked, and there is no such secret to keep: send its value");
            *value = before.filter(|before| before.is_string()).cloned().ok_or(EditError::Shape(problem))?;
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                restore(value, before.and_then(|before| before.get(key)), &format!("{place}.{key}"))?;
            }
        }
        Value::Array(values) => {
            // Without names, only the place tells which secret is meant, and a removed element moves the places.
            let length = values.len();
            for (index, value) in values.iter_mut().enumerate() {
                let name = value.get("name").cloned();
                let by_name = |before: &&Value| name.is_some() && before.get("name") == name.as_ref();
                let before = before.and_then(Value::as_array).and_then(|before| match &name {
                    Some(_) => before.iter().find(by_name),
                    None => before.get(index).filter(|_| before.len() == length),
                });
                restore(value, before, &format!("{place}[{index}]"))?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"{"api_key": "secret-key", "telemetry": {"enabled": false}, "mine": 1, "mcpServers": [
        {"name": "a", "command": "x", "env": {"TOKEN": "hidden"}, "args": ["--k"]},
        {"name": "b", "url": "https://h/?key=hidden"}]}"#;

    fn replaced(settings: Value) -> Result<Value, EditError> {
        let mut document = Document::parse(BEFORE).unwrap();
        replace(&mut document, settings.as_object().unwrap().clone())?;
        Ok(serde_json::from_str(&document.text()).unwrap())
    }

    #[test]
    fn what_a_reader_was_shown_can_be_sent_back() {
        let mut shown = Document::parse(BEFORE).unwrap().masked();
        assert!(!shown.to_string().contains("hidden"));
        shown["mcpServers"].as_array_mut().unwrap().reverse();
        shown["mcpServers"][0]["enabled"] = json!(false);
        let after = replaced(shown).unwrap();
        assert_eq!(after["mcpServers"][0], json!({"name": "b", "url": "https://h/?key=hidden", "enabled": false}));
        assert_eq!(after["mcpServers"][1]["env"]["TOKEN"], "hidden");
        assert_eq!(after["api_key"], "secret-key");
    }

    #[test]
    fn what_is_left_out_stays_and_a_mask_without_a_secret_is_refused() {
        let after = replaced(json!({"mcpServers": [], "api_key": ""})).unwrap();
        assert_eq!(
            after,
            json!({"api_key": "secret-key", "telemetry": {"enabled": false}, "mine": 1, "mcpServers": []})
        );
        let masked =
            json!({"mcpServers": [{"name": "new", "command": "x", "env": {"TOKEN": format!("{MASK} (6 chars)")}}]});
        let error = replaced(masked).unwrap_err().to_string();
        assert!(error.contains("`mcpServers[0].env.TOKEN` is masked"), "{error}");
    }

    #[test]
    fn a_secret_is_not_restored_in_the_place_of_another() {
        let before = json!(["one", "two"]);
        let restored = |mut after: Value| restore(&mut after, Some(&before), "keys").map(|()| after);
        assert_eq!(restored(json!([MASK, MASK])).unwrap(), before);
        let error = restored(json!([MASK])).unwrap_err().to_string();
        assert!(error.contains("`keys[0]` is masked"), "{error}");
    }
}
