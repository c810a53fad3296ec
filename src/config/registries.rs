//! `registries`: where to search for servers.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::deserialize::string_or_none;
use crate::config::document::{Document, EditError};

/// A registry of servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct RegistryConfig {
    /// Short name of the registry.
    #[serde(default, deserialize_with = "string_or_none")]
    pub id: Option<String>,
    /// Name to show.
    #[serde(default, deserialize_with = "string_or_none")]
    pub name: Option<String>,
    /// What it contains.
    #[serde(default, deserialize_with = "string_or_none")]
    pub description: Option<String>,
    /// Base URL; `/v0.1/servers` is added to it.
    #[serde(default, deserialize_with = "string_or_none")]
    pub url: Option<String>,
    /// URL of the list of servers, if it is not the usual one.
    #[serde(default, deserialize_with = "string_or_none")]
    pub servers_url: Option<String>,
    /// Only `modelcontextprotocol/registry` (the default) is supported.
    #[serde(default, deserialize_with = "string_or_none")]
    pub protocol: Option<String>,
}

impl Document {
    /// Adds a registry. `defaults` are those in use while the key is absent: they stay.
    ///
    /// # Errors
    /// [`EditError::Exists`], [`EditError::Shape`].
    pub fn add_registry(&mut self, id: &str, entry: Value, defaults: &[Value]) -> Result<(), EditError> {
        let mut registries = self.registries(defaults)?;
        if registries.iter().any(|registry| has_id(registry, id)) {
            return Err(EditError::Exists(id.to_owned()));
        }
        registries.push(entry);
        self.put_registries(registries)
    }

    /// Removes a registry, also one of the defaults.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`].
    pub fn remove_registry(&mut self, id: &str, defaults: &[Value]) -> Result<(), EditError> {
        let mut registries = self.registries(defaults)?;
        let before = registries.len();
        registries.retain(|registry| !has_id(registry, id));
        if registries.len() == before {
            return Err(EditError::Unknown(id.to_owned()));
        }
        self.put_registries(registries)
    }

    fn registries(&self, defaults: &[Value]) -> Result<Vec<Value>, EditError> {
        match self.get("registries") {
            None | Some(Value::Null) => Ok(defaults.to_vec()),
            Some(Value::Array(registries)) => Ok(registries.clone()),
            Some(_) => Err(EditError::Shape("`registries` is not an array".into())),
        }
    }

    fn put_registries(&mut self, registries: Vec<Value>) -> Result<(), EditError> {
        self.merge(Map::from_iter([("registries".to_owned(), json!(registries))]))
    }
}

fn has_id(registry: &Value, id: &str) -> bool {
    registry.get("id").and_then(Value::as_str).is_some_and(|known| known.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_added_and_removed_and_the_default_is_kept_until_it_is_removed() {
        let defaults = [json!({"id": "official"})];
        let mut document = Document::parse(r#"{"x": 1}"#).unwrap();
        document.add_registry("a", json!({"id": "a", "url": "https://h/"}), &defaults).unwrap();
        let after = |document: &Document| serde_json::from_str::<Value>(&document.text()).unwrap();
        assert_eq!(
            after(&document),
            json!({"x": 1, "registries": [{"id": "official"}, {"id": "a", "url": "https://h/"}]})
        );
        assert!(matches!(document.add_registry("A", json!({}), &defaults), Err(EditError::Exists(_))));
        document.remove_registry("official", &defaults).unwrap();
        document.remove_registry("a", &defaults).unwrap();
        assert_eq!(after(&document)["registries"], json!([]));
        assert!(matches!(document.remove_registry("a", &defaults), Err(EditError::Unknown(_))));
        assert!(Document::parse(r#"{"registries": 7}"#).unwrap().remove_registry("a", &defaults).is_err());
    }
}
