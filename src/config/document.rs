//! The configuration file as a JSON document. An edit changes its own keys and keeps all others.

use serde_json::{Map, Value, json};

use crate::contract::exact_numbers::{hold, is_held, restore_text};

/// The JSON object of a configuration, in the order of the file. Its numbers are held as they were written
/// ([`exact_numbers`](crate::contract::exact_numbers)).
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Map<String, Value>);

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("a server named `{0}` already exists")]
    Exists(String),
    #[error("no server is named `{0}`")]
    Unknown(String),
    /// The entry differs from the one that was shown for approval.
    #[error("server `{0}` has changed since it was shown: review it again")]
    Changed(String),
    /// The text is not a JSON object, or `mcpServers` is not an array.
    #[error("could not edit the configuration: {0}")]
    Shape(String),
    #[error(
        "`{0}` is the last tool in `enabled_tools`, and an empty array turns all tools on: disable the server instead"
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

    /// Reads a document. Empty text is an empty document.
    ///
    /// # Errors
    /// [`EditError::Shape`].
    pub fn parse(text: &str) -> Result<Document, EditError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Ok(Document(Map::new()));
        }
        serde_json::from_str(&hold(text)).map(Document).map_err(|error| EditError::Shape(error.to_string()))
    }

    /// Whether the document has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file's text: two-space indent, final newline.
    pub fn text(&self) -> String {
        let mut text = restore_text(&serde_json::to_string_pretty(&self.0).unwrap_or_default()).into_owned();
        text.push('\n');
        text
    }

    /// The document with every possible secret replaced by its length.
    pub fn masked(&self) -> Value {
        let mut value = Value::Object(self.0.clone());
        mask(&mut value);
        value
    }

    /// The entries of all servers by name.
    pub fn entries(&self) -> Vec<(String, Map<String, Value>)> {
        let servers = self.0.get("mcpServers").map(servers_as_array).unwrap_or_default();
        let named = |server: Value| match server {
            Value::Object(entry) => Some((entry.get("name")?.as_str()?.to_owned(), entry)),
            _ => None,
        };
        servers.into_iter().filter_map(named).collect()
    }

    /// A setting at the top level.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The entry of an upstream server.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn entry(&mut self, name: &str) -> Result<&Map<String, Value>, EditError> {
        self.server(name).map(|entry| &*entry)
    }

    /// Sets a setting at the top level.
    pub fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// Removes a setting at the top level.
    pub fn remove(&mut self, key: &str) {
        self.0.shift_remove(key);
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

    /// Merges a part into the document: objects are merged, other values replaced.
    ///
    /// # Errors
    /// None; every edit has this signature.
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

    /// Adds a server that a person or a model asked for. A local one gets the best isolation that the machine offers,
    /// unless its entry or the settings for all servers say otherwise.
    ///
    /// # Errors
    /// [`EditError::Exists`], [`EditError::Shape`].
    pub fn add_new_server(&mut self, name: &str, mut entry: Value) -> Result<(), EditError> {
        if !self.sets_isolation()
            && let Some(fields) = entry.as_object_mut()
            && fields.get("command").and_then(Value::as_str).is_some_and(|command| !command.is_empty())
        {
            match fields.get_mut("isolation") {
                None | Some(Value::Null) => drop(fields.insert("isolation".to_owned(), Value::from("auto"))),
                // Keys such as `read` alone do not say which isolation they belong to.
                Some(Value::Object(keys)) if !["mode", "enabled"].iter().any(|key| keys.contains_key(*key)) => {
                    keys.insert("mode".to_owned(), Value::from("auto"));
                }
                Some(_) => {}
            }
        }
        self.add_server(name, entry)
    }

    /// Whether `docker_isolation` decides for servers that say nothing.
    fn sets_isolation(&self) -> bool {
        let all = self.0.get("docker_isolation");
        let is = |key: &str, set: fn(&Value) -> bool| all.and_then(|all| all.get(key)).is_some_and(set);
        is("enabled", |enabled| enabled == &Value::Bool(true))
            || is("mode", |mode| mode.as_str().is_some_and(|mode| !mode.is_empty()))
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

    /// Merges a part into the entry of an upstream server: objects are merged, `null` removes a key.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn merge_in_server(&mut self, name: &str, part: &Map<String, Value>) -> Result<(), EditError> {
        let entry = self.server(name)?;
        for (key, value) in part {
            match (entry.get_mut(key), value) {
                (_, Value::Null) => {
                    entry.shift_remove(key);
                }
                (Some(Value::Object(fields)), Value::Object(changes)) => {
                    fields.extend(changes.clone());
                    fields.retain(|_, value| !value.is_null());
                }
                (_, Value::Object(changes)) => {
                    let kept = changes.iter().filter(|(_, value)| !value.is_null());
                    let kept = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
                    entry.insert(key.clone(), Value::Object(kept));
                }
                (_, value) => {
                    entry.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(())
    }

    /// The value of a key of an upstream server.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn get_in_server(&mut self, name: &str, key: &str) -> Result<Option<&Value>, EditError> {
        Ok(self.server(name)?.get(key))
    }

    /// Removes a key of an upstream server.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn remove_in_server(&mut self, name: &str, key: &str) -> Result<(), EditError> {
        self.server(name)?.shift_remove(key);
        Ok(())
    }

    /// The names of all upstream servers.
    ///
    /// # Errors
    /// [`EditError::Shape`].
    pub fn server_names(&mut self) -> Result<Vec<String>, EditError> {
        let name = |server: &Value| server.get("name").and_then(Value::as_str).map(str::to_owned);
        Ok(self.servers()?.iter().filter_map(name).collect())
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
        if servers.is_object() {
            *servers = Value::Array(servers_as_array(servers));
        }
        servers.as_array_mut().ok_or_else(|| EditError::Shape("`mcpServers` is not an array".into()))
    }
}

/// The servers as an array. Other programs write an object of entries by name; both forms are read.
pub fn servers_as_array(servers: &Value) -> Vec<Value> {
    let Value::Object(by_name) = servers else {
        return servers.as_array().cloned().unwrap_or_default();
    };
    let named = |(name, entry): (&String, &Value)| {
        let mut named = Map::from_iter([("name".to_owned(), json!(name))]);
        for (key, value) in entry.as_object().into_iter().flatten().filter(|(key, _)| *key != "name") {
            match key.as_str() {
                "disabled" => named.insert("enabled".to_owned(), json!(value != &json!(true))),
                _ => named.insert(key.clone(), value.clone()),
            };
        }
        Value::Object(named)
    };
    by_name.iter().map(named).collect()
}

/// Replaces a secret. No configuration contains it, so a masked copy that is sent back can be recognised.
pub const MASK: &str = "••••";

fn mask(value: &mut Value) {
    const SECRET: [&str; 5] = ["key", "secret", "token", "password", "authorization"];
    match value {
        Value::Array(list) => list.iter_mut().for_each(mask),
        Value::Object(map) => {
            for (key, value) in map {
                let name = key.to_lowercase();
                match value {
                    Value::Object(values) if name == "env" || name == "headers" => values.values_mut().for_each(hide),
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
    if let Some(text) = value.as_str().filter(|text| !text.is_empty() && !is_held(text)) {
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

    const WRITTEN: &str = r#"{"zebra": 12345678901234567890, "mcpServers": [{"name": "a", "mine": null}], "alpha": {"x": [1.50, 1e400, 2E5]}}"#;

    #[test]
    fn a_new_local_server_is_isolated_unless_something_else_is_said() {
        let isolation = |file: &str, entry: Value| {
            let mut document = Document::parse(file).unwrap();
            document.add_new_server("s", entry).unwrap();
            document.0["mcpServers"][0].get("isolation").cloned()
        };
        let local = json!({"name": "s", "command": "npx"});
        assert_eq!(isolation("{}", local.clone()), Some(json!("auto")));
        assert_eq!(isolation(r#"{"docker_isolation": {"enabled": false}}"#, local.clone()), Some(json!("auto")));
        assert_eq!(isolation(r#"{"docker_isolation": {"enabled": true}}"#, local.clone()), None);
        assert_eq!(isolation(r#"{"docker_isolation": {"mode": "none"}}"#, local), None);
        assert_eq!(isolation("{}", json!({"name": "s", "url": "http://h"})), None);
        let own = json!({"name": "s", "command": "npx", "isolation": {"mode": "none"}});
        assert_eq!(isolation("{}", own), Some(json!({"mode": "none"})));
        for own in [json!({"mode": "none"}), json!({"enabled": false}), json!("none")] {
            let entry = json!({"name": "s", "command": "npx", "isolation": own});
            assert_eq!(isolation("{}", entry), Some(own));
        }
        let read = json!({"name": "s", "command": "npx", "isolation": {"read": ["~/data"]}});
        assert_eq!(isolation("{}", read.clone()), Some(json!({"read": ["~/data"], "mode": "auto"})));
        let all = isolation(r#"{"docker_isolation": {"enabled": true}}"#, read);
        assert_eq!(all, Some(json!({"read": ["~/data"]})), "the mode of all servers holds");
    }

    #[test]
    fn unknown_keys_survive_every_edit_in_their_order() {
        let mut document = Document::parse(WRITTEN).unwrap();
        document.set_api_key("k");
        document.add_server("b", json!({"name": "b", "command": "x"})).unwrap();
        document.set_in_server("a", "enabled", json!(false)).unwrap();
        document.set_telemetry("enabled", json!(false));
        document.remove_server("b").unwrap();
        let text = document.text();
        assert!(text.contains("12345678901234567890"), "{text}");
        assert!(text.contains("\"mine\": null"), "{text}");
        assert!(["1.50,", "1e400,", "2E5\n"].iter().all(|number| text.contains(number)), "{text}");
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
        let alpha: Value = serde_json::from_str(r#"{"x": [1.50, 1e400, 2E5], "y": 1}"#).unwrap();
        assert_eq!(merged["alpha"], alpha);
        assert_eq!((&merged["zebra"], &merged["telemetry"]["enabled"]), (&json!(2), &json!(false)));
    }

    #[test]
    fn a_part_of_an_entry_is_merged_and_null_removes() {
        let text = r#"{"mcpServers": [{"name": "a", "env": {"A": "1", "B": "2"}, "mine": 1, "url": "http://h/"}]}"#;
        let mut document = Document::parse(text).unwrap();
        let part = json!({"env": {"A": null, "C": "3"}, "headers": {"X": "1", "Y": null}, "url": null, "args": ["x"]});
        document.merge_in_server("a", part.as_object().unwrap()).unwrap();
        let expected =
            json!({"name": "a", "env": {"B": "2", "C": "3"}, "mine": 1, "headers": {"X": "1"}, "args": ["x"]});
        assert_eq!(Value::Object(document.entries().remove(0).1), expected);
        assert_eq!(document.merge_in_server("b", &Map::new()), Err(EditError::Unknown("b".into())));
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
        assert!(Document::parse(r#"{"mcpServers":7}"#).unwrap().add_server("a", json!({})).is_err());
    }

    #[test]
    fn servers_by_name_are_read_and_become_an_array_with_the_first_edit() {
        let text = r#"{"mcpServers": {"a": {"command": "x", "disabled": true}, "b": {"url": "http://h/"}}}"#;
        let mut document = Document::parse(text).unwrap();
        let names: Vec<String> = document.entries().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(document.add_server("b", json!({})), Err(EditError::Exists("b".into())));
        document.set_in_server("b", "enabled", json!(false)).unwrap();
        let edited: Value = serde_json::from_str(&document.text()).unwrap();
        assert_eq!(edited["mcpServers"][0], json!({"name": "a", "command": "x", "enabled": false}));
        assert_eq!(edited["mcpServers"][1], json!({"name": "b", "url": "http://h/", "enabled": false}));
    }
}
