//! Which tools of a server are on: `enabled_tools` and `disabled_tools` of its entry. If both are set, both apply.

use serde_json::{Value, json};

use crate::config::document::{Document, EditError};
use crate::config::server::ServerConfig;

impl ServerConfig {
    /// Whether a tool is on.
    pub fn has_on(&self, tool: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == tool);
        (self.enabled_tools.is_empty() || named(&self.enabled_tools)) && !named(&self.disabled_tools)
    }

    /// Whether two entries differ only in these settings.
    pub fn differs_in_switches_only(&self, other: &ServerConfig) -> bool {
        self != other
            && *self
                == ServerConfig {
                    enabled_tools: self.enabled_tools.clone(),
                    disabled_tools: self.disabled_tools.clone(),
                    ..other.clone()
                }
    }
}

impl Document {
    /// Turns a tool on or off, in the array that the entry already has: the Go core accepts only one of the two.
    ///
    /// # Errors
    /// [`EditError::Unknown`], [`EditError::Shape`], [`EditError::LastOne`].
    pub fn switch_tool(&mut self, server: &str, tool: &str, on: bool) -> Result<(), EditError> {
        let mut enabled = self.names_in_server(server, "enabled_tools")?;
        let mut disabled = self.names_in_server(server, "disabled_tools")?;
        let before = (enabled.clone(), disabled.clone());
        let has = |names: &[String]| names.iter().any(|name| name == tool);
        if on {
            disabled.retain(|name| name != tool);
            if !enabled.is_empty() && !has(&enabled) {
                enabled.push(tool.to_owned());
            }
        } else if !enabled.is_empty() {
            enabled.retain(|name| name != tool);
            if enabled.is_empty() {
                return Err(EditError::LastOne(tool.to_owned()));
            }
        } else if !has(&disabled) {
            disabled.push(tool.to_owned());
        }
        for (key, names, before) in [
            ("enabled_tools", enabled, before.0),
            ("disabled_tools", disabled, before.1),
        ] {
            if names.is_empty() && !before.is_empty() {
                self.remove_in_server(server, key)?;
            } else if names != before {
                self.set_in_server(server, key, json!(names))?;
            }
        }
        Ok(())
    }

    fn names_in_server(&mut self, server: &str, key: &str) -> Result<Vec<String>, EditError> {
        let shape = || EditError::Shape(format!("`{key}` of `{server}` is not an array of names"));
        match self.get_in_server(server, key)? {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(names) => serde_json::from_value(names.clone()).map_err(|_| shape()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(enabled: &[&str], disabled: &[&str]) -> ServerConfig {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ServerConfig {
            enabled_tools: names(enabled),
            disabled_tools: names(disabled),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn a_tool_is_on_unless_a_list_says_otherwise() {
        let on = |enabled: &[&str], disabled: &[&str]| server(enabled, disabled).has_on("t");
        assert!(on(&[], &[]) && on(&["t"], &[]) && on(&[], &["u"]));
        assert!(!on(&["u"], &[]) && !on(&[], &["t"]) && !on(&["t"], &["t"]));
    }

    #[test]
    fn other_changes_are_not_taken_for_switches() {
        let (one, other) = (server(&[], &[]), server(&[], &["t"]));
        assert!(one.differs_in_switches_only(&other) && !one.differs_in_switches_only(&one));
        let elsewhere = ServerConfig {
            url: Some("http://h".into()),
            ..other
        };
        assert!(!one.differs_in_switches_only(&elsewhere));
    }

    fn switched(entry: Value, tool: &str, on: bool) -> Result<Value, EditError> {
        let mut document = Document::parse(&json!({"mcpServers": [entry]}).to_string()).unwrap();
        document.switch_tool("s", tool, on)?;
        let text: Value = serde_json::from_str(&document.text()).unwrap();
        Ok(text["mcpServers"][0].clone())
    }

    #[test]
    fn a_switch_goes_into_the_list_that_the_entry_has() {
        let plain = json!({"name": "s", "x": 1});
        let off = json!({"name": "s", "x": 1, "disabled_tools": ["t"]});
        assert_eq!(switched(plain.clone(), "t", false).unwrap(), off);
        assert_eq!(switched(off.clone(), "t", false).unwrap(), off);
        assert_eq!(switched(off, "t", true).unwrap(), plain);
        assert_eq!(switched(plain.clone(), "t", true).unwrap(), plain);
        let only = json!({"name": "s", "enabled_tools": ["t", "u"]});
        let without = json!({"name": "s", "enabled_tools": ["u"]});
        assert_eq!(switched(only.clone(), "t", false).unwrap(), without);
        assert_eq!(switched(without.clone(), "t", true).unwrap()["enabled_tools"], json!(["u", "t"]));
        assert!(matches!(switched(without, "u", false), Err(EditError::LastOne(_))));
        let twice = json!({"name": "s", "enabled_tools": ["t", "t"]});
        assert!(
            matches!(switched(twice, "t", false), Err(EditError::LastOne(_))),
            "an empty array would turn all tools on"
        );
        assert!(matches!(switched(json!({"name": "s", "disabled_tools": 7}), "t", true), Err(EditError::Shape(_))));
        assert!(matches!(switched(json!({"name": "o"}), "t", true), Err(EditError::Unknown(_))));
    }
}
