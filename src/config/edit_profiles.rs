//! Edits of `profiles` and `active_profile`.

use serde_json::{Map, Value, json};

use crate::config::document::{Document, EditError};

impl Document {
    /// Adds a profile, or replaces the servers of one; other keys of it stay.
    ///
    /// # Errors
    /// [`EditError::Shape`].
    pub fn set_profile(&mut self, name: &str, servers: &[String]) -> Result<(), EditError> {
        let mut profiles = self.profiles()?;
        match profiles.iter_mut().find(|profile| is_named(profile, name)).and_then(Value::as_object_mut) {
            Some(profile) => drop(profile.insert("servers".into(), json!(servers))),
            None => profiles.push(json!({"name": name, "servers": servers})),
        }
        self.put("profiles", profiles.into())
    }

    /// Removes a profile. `active_profile` stays: removing a limit must not show more.
    ///
    /// # Errors
    /// [`EditError::Shape`].
    pub fn remove_profile(&mut self, name: &str) -> Result<(), EditError> {
        let mut profiles = self.profiles()?;
        profiles.retain(|profile| !is_named(profile, name));
        self.put("profiles", profiles.into())
    }

    /// Sets `active_profile`.
    ///
    /// # Errors
    /// None; the signature is that of every edit.
    pub fn merge_active_profile(&mut self, name: &str) -> Result<(), EditError> {
        self.put("active_profile", name.into())
    }

    fn profiles(&self) -> Result<Vec<Value>, EditError> {
        match self.get("profiles") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(profiles)) => Ok(profiles.clone()),
            Some(_) => Err(EditError::Shape("`profiles` is not an array".into())),
        }
    }

    fn put(&mut self, key: &str, value: Value) -> Result<(), EditError> {
        self.merge(Map::from_iter([(key.to_owned(), value)]))
    }
}

fn is_named(profile: &Value, name: &str) -> bool {
    profile.get("name").and_then(Value::as_str) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_added_changed_and_removed_and_everything_else_stays() {
        let mut document =
            Document::parse(r#"{"x": 1, "profiles": [{"name": "a", "servers": [], "mine": true}]}"#).unwrap();
        document.set_profile("a", &["s".into()]).unwrap();
        document.set_profile("b", &[]).unwrap();
        document.merge_active_profile("a").unwrap();
        let after = |document: &Document| serde_json::from_str::<Value>(&document.text()).unwrap();
        let both = json!([{"name": "a", "servers": ["s"], "mine": true}, {"name": "b", "servers": []}]);
        assert_eq!(after(&document), json!({"x": 1, "profiles": both, "active_profile": "a"}));
        document.remove_profile("a").unwrap();
        assert_eq!(after(&document)["profiles"], json!([{"name": "b", "servers": []}]));
        assert_eq!(after(&document)["active_profile"], "a");
        assert!(Document::parse(r#"{"profiles": 7}"#).unwrap().set_profile("a", &[]).is_err());
    }
}
