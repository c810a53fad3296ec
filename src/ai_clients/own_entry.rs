//! Our entry in an AI client's configuration, read back as the client reads it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::ai_clients::edit::config_path;
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::files;
use crate::ai_clients::import::normalize::{Unusable, of_fields};
use crate::ai_clients::import::variables::Values;
use crate::ai_clients::known_clients::{CLIENTS, Client, Homes};
use crate::ai_clients::plan;

/// Our entry, in the form of our own configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnEntry {
    /// The client's name.
    pub client: &'static str,
    /// The URL or the command line. Holds no key.
    pub shown: String,
    /// The entry, or why it cannot be tested.
    pub entry: Result<Map<String, Value>, String>,
}

/// Our entries in all clients. Guarded files are not opened. Blocks on file reads.
pub fn of_all(homes: &Homes, proxy: &Proxy) -> Vec<OwnEntry> {
    let open = CLIENTS.iter().filter(|client| !config_path(client, homes).guarded);
    open.filter_map(|client| of_client(client, homes, proxy)).collect()
}

/// Our entry in a client's configuration; `None` if it has none.
fn of_client(client: &Client, homes: &Homes, proxy: &Proxy) -> Option<OwnEntry> {
    let source = files::of_client(client, homes).ok().flatten()?;
    let name = plan::ours(&source.servers, proxy, None)?;
    let (_, raw) = source.servers.iter().find(|(found, _)| *found == name)?;
    let home = homes.home.display().to_string();
    let values = Values {
        home: &home,
        workspace: None,
        inputs: &source.inputs,
        is_set: &|_| true,
    };
    let entry = of_fields(raw.as_object()?, source.syntax, &values).map(|found| found.entry);
    let entry = entry.map_err(|error| match error {
        Unusable::Skip(reason) | Unusable::Fail(reason) => reason,
    });
    let shown = entry.as_ref().map_or_else(|_| name.clone(), shown);
    Some(OwnEntry {
        client: client.name,
        shown,
        entry: entry.and_then(|entry| startable(entry, proxy)),
    })
}

/// The entry for a client without one: the URL of the proxy.
pub fn of_address(proxy: &Proxy) -> OwnEntry {
    let mut entry = Map::new();
    entry.insert("protocol".to_owned(), "streamable-http".into());
    entry.insert("url".to_owned(), proxy.url().into());
    if let Some(key) = &proxy.key {
        let header = [(crate::contract::names::HEADER_API_KEY.to_owned(), Value::from(key.as_str()))];
        entry.insert("headers".to_owned(), Value::Object(header.into_iter().collect()));
    }
    OwnEntry {
        client: "",
        shown: proxy.url(),
        entry: Ok(entry),
    }
}

/// Only our own program is started: another one would get more than the test of an entry needs.
fn startable(entry: Map<String, Value>, proxy: &Proxy) -> Result<Map<String, Value>, String> {
    match entry.get("command").and_then(Value::as_str) {
        Some(command) if proxy.bridge.program.as_deref() != Ok(Path::new(command)) => {
            Err(format!("it starts `{command}`, which is not this program, so it was not tested"))
        }
        _ => Ok(entry),
    }
}

fn shown(entry: &Map<String, Value>) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    if let Some(url) = text("url") {
        return url.split('?').next().unwrap_or(url).to_owned();
    }
    let arguments = entry.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    text("command").into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ai_clients::edit::{Operation, apply};
    use crate::ai_clients::known_clients::client;
    use crate::ai_clients::stdio_entry::Bridge;
    use crate::contract::platform::Platform;
    use crate::os::environment::Environment;

    fn homes(directory: &Path) -> Homes {
        Homes {
            platform: Platform::Linux,
            home: directory.to_path_buf(),
            settings: directory.join(".config"),
            variables: Environment::default(),
        }
    }

    #[test]
    fn the_entry_of_every_client_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let homes = homes(directory.path());
        let proxy = Proxy::new("127.0.0.1:8080", true, Some("secret"), Bridge::sample());
        let operation = Operation::Connect {
            force: false,
            token: None,
        };
        for client in &CLIENTS {
            apply(client, &homes, &proxy, None, &operation).unwrap();
            let found = of_client(client, &homes, &proxy).unwrap();
            let entry = found.entry.unwrap();
            assert!(!found.shown.contains("secret"), "{}: {}", client.id, found.shown);
            if entry.contains_key("command") {
                assert_eq!(found.shown, "/usr/bin/mcpproxy stdio", "{}", client.id);
            } else {
                assert_eq!(found.shown, "http://127.0.0.1:8080/mcp", "{}", client.id);
                assert!(Value::Object(entry).to_string().contains("secret"), "{}", client.id);
            }
        }
        assert_eq!(of_all(&homes, &proxy).len(), CLIENTS.len());
    }

    #[test]
    fn another_program_is_not_started() {
        let directory = tempfile::tempdir().unwrap();
        let homes = homes(directory.path());
        let file = r#"{"mcpServers": {"a": {"command": "/tmp/x", "args": ["http://127.0.0.1:8080/mcp"]}}}"#;
        fs::create_dir(directory.path().join(".cursor")).unwrap();
        fs::write(directory.path().join(".cursor/mcp.json"), file).unwrap();
        let proxy = Proxy::new("127.0.0.1:8080", false, None, Bridge::sample());
        let found = of_client(client("cursor").unwrap(), &homes, &proxy).unwrap();
        assert!(found.entry.unwrap_err().contains("`/tmp/x`"));
    }
}
