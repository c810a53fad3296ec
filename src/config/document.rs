//! The configuration file as a document: edits touch their own keys and leave every other one as it is.

use serde_json::{Map, Value, json};

/// A configuration's JSON object, in the order a person wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Map<String, Value>);

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("a server called `{0}` is there already")]
    Exists(String),
    #[error("no server is called `{0}`")]
    Unknown(String),
    /// The text is no JSON object, or `mcpServers` is no list.
    #[error("the configuration cannot be edited: {0}")]
    Shape(String),
    #[error(
        "`{0}` is the only tool that `enabled_tools` lets in, and an empty list lets in all: disable the server instead"
    )]
    LastOne(String),
}

impl Document {
    /// A new installation's file.
    pub fn new(listen: &str, api_key: &str) -> Document {
        let mut map = Map::new();
        map.insert("listen".into(), listen.into());
        map.insert("api_key".into(), api_key.into());
        map.insert("mcpServers".into(), json!([]));
        Document(map)
    }

    /// Reads a document; an empty text is an empty one.
    ///
    /// # Errors
    /// [`EditError::Shape`].
    pub fn parse(text: &str) -> Result<Document, EditError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Ok(Document(Map::new()));
        }
        serde_json::from_str(text).map(Document).map_err(|error| EditError::Shape(error.to_string()))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file's text: two-space indent, final newline.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The document for a reader: what may be a secret shows its length only.
    pub fn masked(&self) -> Value {
        let mut value = Value::Object(self.0.clone());
        mask(&mut value);
        value
    }

    /// The value of a top-level key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Sets the API key.
    pub fn set_api_key(&mut self, key: &str) {
        self.0.insert("api_key".into(), key.into());
    }

    /// Sets one key of the `telemetry` object.
    pub fn set_telemetry(&mut self, key: &str, value: Value) {
        let telemetry = self.0.entry("telemetry").or_insert_with(|| json!({}));
        if !telemetry.is_object() {
            *telemetry = json!({});
        }
        if let Some(telemetry) = telemetry.as_object_mut() {
            telemetry.insert(key.to_owned(), value);
        }
    }

    /// Merges a part into the document: objects merge, everything else is replaced.
    ///
    /// # Errors
    /// None; the signature is that of every edit.
    pub fn merge(&mut self, part: Map<String, Value>) -> Result<(), EditError> {
        merge_objects(&mut self.0, part);
        Ok(())
    }

    /// Adds an upstream server at the end of the list.
    ///
    /// # Errors
    /// [`EditError::Exists`], [`EditError::Shape`].
    pub fn add_server(&mut self, name: &str, entry: Value) -> Result<(), EditError> {
        let servers = self.servers()?;
        if servers.iter().any(|server| is_called(server, name)) {
            return Err(EditError::Exists(name.to_owned()));
        }
        servers.push(entry);
        Ok(())
    }

    /// Removes an upstream server.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn remove_server(&mut self, name: &str) -> Result<(), EditError> {
        let servers = self.servers()?;
        let before = servers.len();
        servers.retain(|server| !is_called(server, name));
        if servers.len() == before { Err(EditError::Unknown(name.to_owned())) } else { Ok(()) }
    }

    /// Sets a key of an upstream server.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn set_in_server(&mut self, name: &str, key: &str, value: Value) -> Result<(), EditError> {
        self.server(name)?.insert(key.to_owned(), value);
        Ok(())
    }

    /// What a key of an upstream server is set to.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn get_in_server(&mut self, name: &str, key: &str) -> Result<Option<&Value>, EditError> {
        Ok(self.server(name)?.get(key))
    }

    /// Takes a key out of an upstream server's entry.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn remove_in_server(&mut self, name: &str, key: &str) -> Result<(), EditError> {
        self.server(name)?.shift_remove(key);
        Ok(())
    }

    fn server(&mut self, name: &str) -> Result<&mut Map<String, Value>, EditError> {
        let server = self.servers()?.iter_mut().find(|server| is_called(server, name));
        server.and_then(Value::as_object_mut).ok_or_else(|| EditError::Unknown(name.to_owned()))
    }

    fn servers(&mut self) -> Result<&mut Vec<Value>, EditError> {
        let servers = self.0.entry("mcpServers").or_insert(Value::Null);
        if servers.is_null() {
            *servers = json!([]);
        }
        servers.as_array_mut().ok_or_else(|| EditError::Shape("`mcpServers` is no list".into()))
    }
}

/// What stands where a secret was; no text of a configuration contains it, so that a masked copy is not written back.
pub const MASK: &str = "••••";

fn mask(value: &mut Value) {
    const SECRET: [&str; 5] = ["key", "secret", "token", "password", "authorization"];
    match value {
        Value::Array(list) => list.iter_mut().for_each(mask),
        Value::Object(map) => {
            for (key, value) in map {
                let name = key.to_lowercase();
                match value {
                    Value::Object(texts) if name == "env" || name == "headers" => texts.values_mut().for_each(hide),
                    Value::String(_) if SECRET.iter().any(|word| name.contains(word)) => hide(value),
                    Value::String(url) if name == "url" && url.contains(['@', '?']) => hide(value),
                    other => mask(other),
                }
            }
        }
        _ => {}
    }
}

fn hide(value: &mut Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        *value = format!("{MASK} ({} chars)", text.chars().count()).into();
    }
}

fn merge_objects(into: &mut Map<String, Value>, part: Map<String, Value>) {
    for (key, value) in part {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_objects(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn is_called(server: &Value, name: &str) -> bool {
    server.get("name").and_then(Value::as_str) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str =
        r#"{"zebra": 12345678901234567890, "mcpServers": [{"name": "a", "mine": null}], "alpha": {"x": [1.50]}}"#;

    #[test]
    fn what_this_core_does_not_know_survives_every_edit_in_its_order() {
        let mut document = Document::parse(WRITTEN).unwrap();
        document.set_api_key("k");
        document.add_server("b", json!({"name": "b", "command": "x"})).unwrap();
        document.set_in_server("a", "enabled", json!(false)).unwrap();
        document.set_telemetry("enabled", json!(false));
        document.remove_server("b").unwrap();
        let text = document.text();
        assert!(text.contains("12345678901234567890"), "{text}");
        assert!(text.contains("\"mine\": null"), "{text}");
        let order: Vec<_> =
            ["zebra", "mcpServers", "alpha", "api_key", "telemetry"].map(|key| text.find(key).unwrap()).into();
        assert!(order.is_sorted(), "{text}");
    }

    #[test]
    fn a_part_is_merged_into_its_objects_only() {
        let mut document = Document::parse(WRITTEN).unwrap();
        let part = json!({"alpha": {"y": 1}, "zebra": 2, "telemetry": {"enabled": false}});
        document.merge(part.as_object().cloned().unwrap()).unwrap();
        let merged: Value = serde_json::from_str(&document.text()).unwrap();
        assert_eq!(merged["alpha"], json!({"x": [1.5], "y": 1}));
        assert_eq!((&merged["zebra"], &merged["telemetry"]["enabled"]), (&json!(2), &json!(false)));
    }

    #[test]
    fn a_reader_sees_no_secret() {
        let text = r#"{"api_key":"abc","listen":":1","mcpServers":[{"name":"a","url":"https://u:p@h/","env":{"A":"hidden"},
            "headers":{"X":"hidden"},"oauth":{"client_secret":"hidden","client_id":"shown"}}]}"#;
        let masked = Document::parse(text).unwrap().masked();
        let shown = masked.to_string();
        assert!(!shown.contains("hidden") && !shown.contains("abc") && !shown.contains("u:p"), "{shown}");
        assert_eq!((&masked["api_key"], &masked["listen"]), (&json!("•••• (3 chars)"), &json!(":1")));
        assert_eq!(masked["mcpServers"][0]["oauth"]["client_id"], "shown");
    }

    #[test]
    fn a_name_is_added_once_and_removed_only_when_there() {
        let mut document = Document::parse(WRITTEN).unwrap();
        assert_eq!(document.add_server("a", json!({})), Err(EditError::Exists("a".into())));
        assert_eq!(document.remove_server("c"), Err(EditError::Unknown("c".into())));
        assert!(Document::parse("[]").is_err());
        assert!(Document::parse(r#"{"mcpServers":{}}"#).unwrap().add_server("a", json!({})).is_err());
    }
}
