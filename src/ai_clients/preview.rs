//! The preview of a change, without secrets, and the token that ties the change to what was shown.

use reqwest::Url;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::format::with_entry;
use crate::ai_clients::known_clients::Client;
use crate::config::document::MASK;
use crate::contract::api::EntrySummary;

/// Our entry and its text, with the key masked; `None` if the entry cannot be built.
pub fn masked_entry(client: &Client, proxy: &Proxy, name: &str) -> Option<(Map<String, Value>, String)> {
    let masked = Proxy {
        key: proxy.key.as_ref().map(|_| MASK.to_owned()),
        ..proxy.clone()
    };
    let entry = client.entry(&masked).ok()?;
    let text = with_entry(client, b"", name, &entry).ok()?;
    Some((entry, String::from_utf8_lossy(&text).into_owned()))
}

/// A summary of an entry: names, program and host only, because arguments, paths and queries may hold secrets.
pub fn summary(name: &str, entry: &Value) -> EntrySummary {
    let text = |keys: &[&str]| {
        let values = keys.iter().filter_map(|key| entry.get(key));
        let first = |value: &Value| value.get(0).unwrap_or(value).as_str().map(str::to_owned);
        values.filter_map(first).next()
    };
    let names = |keys: &[&str]| {
        let objects = keys.iter().filter_map(|key| entry.get(key)?.as_object());
        objects.flat_map(|object| object.keys().cloned()).collect()
    };
    let origin = |url: String| Some(Url::parse(&url).ok()?.origin()).filter(|origin| origin.is_tuple());
    EntrySummary {
        entry_name: name.to_owned(),
        kind: text(&["type"]),
        endpoint: text(&["url", "serverUrl", "httpUrl", "uri"])
            .and_then(origin)
            .map(|origin| origin.ascii_serialization()),
        command: text(&["command", "cmd"]),
        header_names: names(&["headers", "http_headers"]),
        env_names: names(&["env", "envs", "environment"]),
    }
}

/// The inputs of a preview: the client's file, if it exists, and the requested entry.
pub struct PreviewInput<'a> {
    pub client: &'a Client,
    pub path: &'a str,
    pub proxy: &'a Proxy,
    pub before: Option<&'a [u8]>,
    /// The requested name of the entry.
    pub requested: Option<&'a str>,
}

impl PreviewInput<'_> {
    /// A token that changes with every input. `key` is secret, so the token reveals nothing about the file.
    pub fn token(&self, key: &str) -> String {
        let file = self.before.map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)));
        let entry = self.client.entry(self.proxy).ok();
        let whole = json!([key, self.client.id, self.path, self.requested, entry, file]);
        let digest = Sha256::digest(whole.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai_clients::known_clients::{CLIENTS, client};
    use crate::ai_clients::stdio_entry::Bridge;

    #[test]
    fn the_key_is_in_no_preview() {
        let proxy = Proxy::new("127.0.0.1:8080", true, Some("secret"), Bridge::sample());
        for client in &CLIENTS {
            let (entry, text) = masked_entry(client, &proxy, "mcpproxy").unwrap();
            let entry = Value::Object(entry).to_string();
            for shown in [entry, text] {
                assert!(!shown.contains("secret"), "{shown}");
                for of_key in ["X-API-Key", MASK] {
                    assert_eq!(shown.contains(of_key), client.takes_key(), "{shown}");
                }
            }
        }
    }

    #[test]
    fn a_summary_says_who_is_there_and_no_secret() {
        let entry = json!({"type": "http", "url": "https://me:secret@x.example:444/secret/mcp?k=secret#secret",
            "headers": {"Authorization": "secret"}});
        let shown = summary("a", &entry);
        assert_eq!((shown.kind.as_deref(), shown.endpoint.as_deref()), (Some("http"), Some("https://x.example:444")));
        assert_eq!(shown.header_names, ["Authorization"]);
        assert!(!format!("{shown:?}").contains("secret"));
        for command in [json!("npx"), json!(["npx", "--token=secret"])] {
            let shown = summary("a", &json!({"command": command, "args": ["secret"], "env": {"TOKEN": "secret"}}));
            assert_eq!((shown.command.as_deref(), shown.endpoint.as_deref()), (Some("npx"), None));
            assert_eq!(shown.env_names, ["TOKEN"]);
            assert!(!format!("{shown:?}").contains("secret"));
        }
        for odd in [
            json!(null),
            json!("a"),
            json!({"url": 1, "headers": [], "command": []}),
            json!({"url": "data:x"}),
        ] {
            assert_eq!(summary("a", &odd).endpoint, None, "{odd}");
        }
    }

    #[test]
    fn a_token_is_for_one_file_and_one_request() {
        let on = |listen| Proxy::new(listen, false, None, Bridge::sample());
        let (here, there) = (on("127.0.0.1:8080"), on("127.0.0.1:8081"));
        let token = |id, proxy, before, requested, key| {
            let client = client(id).unwrap();
            let path = "/a";
            PreviewInput {
                client,
                path,
                proxy,
                before,
                requested,
            }
            .token(key)
        };
        let mut tokens = vec![
            token("cursor", &here, None, None, "k"),
            token("cursor", &here, Some(&b""[..]), None, "k"),
            token("cursor", &here, Some(b"{}"), None, "k"),
            token("cursor", &here, Some(b"{} "), None, "k"),
            token("cursor", &here, Some(b"{}"), Some("a"), "k"),
            token("cursor", &there, Some(b"{}"), None, "k"),
            token("gemini", &here, Some(b"{}"), None, "k"),
            token("cursor", &here, Some(b"{}"), None, "another"),
        ];
        assert_eq!(tokens[2], token("cursor", &here, Some(b"{}"), None, "k"));
        let all = tokens.len();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), all);
    }
}
