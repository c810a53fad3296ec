//! A server's entry to add. Its keys are written in this order.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::contract::words::ServerProtocol;

/// An entry of `mcpServers`; absent keys are not written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NewServer {
    pub name: String,
    pub protocol: ServerProtocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub env: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<bool>,
}

impl NewServer {
    /// Returns the entry as JSON.
    pub fn into_entry(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(entry)) => entry,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_written() {
        let server = NewServer {
            name: "files".into(),
            protocol: ServerProtocol::Stdio,
            command: Some("npx".into()),
            args: Some(Vec::new()),
            enabled: Some(true),
            ..NewServer::default()
        };
        let text = Value::Object(server.into_entry()).to_string();
        assert_eq!(text, r#"{"name":"files","protocol":"stdio","command":"npx","args":[],"enabled":true}"#);
    }
}
