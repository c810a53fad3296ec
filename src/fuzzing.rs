//! Properties that must hold for any bytes from outside. Each function is a fuzz target (`fuzz/`, `scripts/fuzz`). The
//! tests also run each one on mutated real input.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a violated property must stop the fuzzer"
)]

#[cfg(feature = "collector")]
mod usage_report;

use std::path::Path;

use reqwest::Url;
use rmcp::transport::Transport as _;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;

use crate::ai_clients::format::{entries, with_entry, without_entry};
use crate::ai_clients::known_clients::{CLIENTS, Format};
use crate::config::Config;
use crate::config::document::Document;
use crate::gateway::http::invalid_request;
use crate::gateway::http::invalid_request::Refusal;
use crate::os::sse;
use crate::upstream::session::in_flight::SharedInFlight;
use crate::upstream::transport::legacy_sse_events;
use crate::upstream::transport::legacy_sse_events::Content;
use crate::upstream::transport::stdio;
use crate::upstream::transport::stray_output::{DEFAULT_LIMIT, StrayOutput};

#[cfg(feature = "collector")]
pub use usage_report::usage_report;

/// A name that no seed contains.
const NAME: &str = "added-by-the-fuzzer";

/// A body sent to `/mcp`: the proxy parses it, or refuses it with a valid JSON-RPC error.
pub fn json_rpc(body: &[u8]) {
    let refusal = match invalid_request::read(body) {
        Ok(message) => {
            assert_eq!(message["jsonrpc"], "2.0");
            if let Some(method) = message["method"].as_str() {
                let error = invalid_request::unknown_request(method, message.get("params").cloned());
                assert!(matches!(error.code.0, -32602 | -32601), "{error}");
            }
            Refusal::of(body)
        }
        Err(refusal) => refusal,
    };
    let refusal = Value::from(refusal);
    assert_eq!(refusal["jsonrpc"], "2.0");
    assert!(matches!(refusal["error"]["code"].as_i64(), Some(-32700 | -32600)), "{refusal}");
    assert!(refusal["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{refusal}");
    let id = &refusal["id"];
    assert!(id.is_null() || id.is_string() || id.is_i64() || id.is_u64(), "{refusal}");
}

/// A server's standard output: the reader returns the same messages for any split of the bytes, and nothing stops it.
pub fn server_output(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let read = |size: usize| {
        runtime.block_on(async {
            let (mut writer, reader) = tokio::io::duplex(size);
            let (_fast_path, mut transport) =
                stdio::open("s", reader, tokio::io::sink(), SharedInFlight::default(), StrayOutput::new(DEFAULT_LIMIT));
            let messages = async {
                let mut messages = Vec::new();
                while let Some(message) = transport.receive().await {
                    messages.push(serde_json::to_value(message).unwrap());
                }
                messages
            };
            let write = async {
                writer.write_all(bytes).await.unwrap();
                drop(writer);
            };
            tokio::join!(messages, write).0
        })
    };
    assert_eq!(read(1 << 20), read(3), "{:?}", String::from_utf8_lossy(bytes));
}

/// An SSE stream: the reader returns the same events, and marks the same ones as too long, for any split of the bytes.
/// No server can redirect messages to another host.
pub fn event_stream(bytes: &[u8]) {
    let address = Url::parse("http://h.example/sse").unwrap();
    for limit in [usize::MAX, 12] {
        let read = |size: usize| {
            let mut parser = sse::Parser::new(limit);
            bytes.chunks(size).for_each(|piece| parser.push(piece));
            (parser.beyond_limit().cloned(), std::iter::from_fn(move || parser.next_event()).collect::<Vec<_>>())
        };
        let whole = read(bytes.len().max(1));
        for size in [1, 3] {
            assert_eq!(read(size), whole);
        }
        for event in whole.1 {
            let Ok(event) = event.inspect_err(|long| drop(legacy_sse_events::oversized(long))) else {
                continue;
            };
            // A byte that is not UTF-8 becomes a character of three bytes.
            assert!(event.data.len() <= limit.saturating_mul(3), "{event:?}");
            if let Content::Endpoint(url) = legacy_sse_events::content(legacy_sse_events::sse(event))
                && let Ok(endpoint) = legacy_sse_events::endpoint(&address, &url)
            {
                assert!(endpoint.as_str().starts_with("http://h.example/"), "{url} became {endpoint}");
            }
        }
    }
}

/// The configuration: every valid file can be edited, and undoing an edit restores the previous content.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = Config::parse(Path::new("mcp_config.json"), text);
    if let Err(error) = &parsed {
        assert!(error.line <= text.lines().count() + 1, "{error}");
    }
    let Ok(mut document) = Document::parse(text) else { return };
    let before = document.text();
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    if document.add_server(NAME, json!({"name": NAME, "command": "x"})).is_err() {
        assert_eq!(document.text(), before);
        return;
    }
    let edited = document.text();
    if parsed.is_ok() {
        let config = Config::parse(Path::new("mcp_config.json"), &edited).unwrap();
        assert!(config.servers.iter().any(|server| server.name == NAME));
    }
    document.remove_server(NAME).unwrap();
    let mut expected = value(&before);
    let servers = expected.as_object_mut().unwrap().entry("mcpServers").or_insert_with(|| json!([]));
    if servers.is_null() {
        *servers = json!([]);
    }
    assert_eq!(value(&document.text()), expected);
}

/// An AI client's configuration file; the first byte selects the client. Connecting keeps all existing entries, and
/// disconnecting restores exactly those.
pub fn client_file(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let client = &CLIENTS[usize::from(*first) % CLIENTS.len()];
    let entry: Map<String, Value> = [("url".to_owned(), json!("http://127.0.0.1:8080/mcp"))].into_iter().collect();
    let before = entries(client, bytes);
    let Ok(after) = with_entry(client, bytes, NAME, &entry) else { return };
    let shown = || format!("{} {:?}\n{:?}", client.id, String::from_utf8_lossy(bytes), String::from_utf8_lossy(&after));
    let before = before.unwrap_or_else(|mistake| panic!("{mistake:?} {}", shown()));
    if before.iter().any(|(name, _)| name == NAME) {
        return;
    }
    let mut named = entries(client, &after).unwrap_or_else(|mistake| panic!("{mistake:?} {}", shown()));
    named.retain(|(name, _)| name != NAME);
    assert_eq!(named, before, "{}", shown());
    let cut = match without_entry(client, &after, NAME) {
        Ok(cut) => cut,
        // If the entry cannot be removed safely, the user must do it.
        Err(_) if client.format == Format::Yaml => return,
        Err(mistake) => panic!("{mistake:?} {}", shown()),
    };
    assert_eq!(entries(client, &cut).unwrap(), before, "{}\n{:?}", shown(), String::from_utf8_lossy(&cut));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Real input, concatenated and mutated.
    fn made_of(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => proptest::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..3),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    const MESSAGES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\r\n",
        "\"jsonrpc\":\"2.0\"",
        "\"jsonrpc\":2",
        "\"id\":",
        "1",
        "1.5",
        "-7",
        "null",
        "true",
        "\"a\"",
        "\"method\":",
        "\"tools/call\"",
        "\"tools/list\"",
        "\"params\":",
        "{}",
        "[]",
        "\"name\":",
        "\"arguments\":",
        "\"result\":",
        "\"error\":",
        "{\"jsonrpc\":\"2.0\",\"id\":1073741824,\"result\":{}}\n",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n",
        "\\u0000",
        "\u{feff}",
        "ü",
    ];
    const EVENTS: &[&str] = &[
        "data:",
        "data: {}",
        "event: x",
        "event: endpoint\n",
        "data: /m?id=1\n\n",
        "http://h.example:80/",
        "//evil.example",
        "ann:pw@",
        "\\",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
        "id: 7",
        "retry:",
        ":",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "ü",
        "\u{feff}",
    ];
    const SETTINGS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "{}",
        "[]",
        "null",
        "true",
        "1e999",
        "\"mcpServers\":",
        "{\"mcpServers\":[]}",
        "\"listen\":",
        "{\"mcpServers\":[{\"name\":\"a\",\"command\":\"x\"}]",
        ",\"telemetry\":{\"enabled\":false}}",
        "\"name\":",
        "\"a\"",
        "\"call_tool_timeout\":",
        "\"2m\"",
        "\"theirs\":",
        "1.0",
        "100000000000000000000000",
        "\u{feff}",
    ];
    const FILES: &[&str] = &[
        "\0",
        "\x01",
        "\x05",
        "\x06",
        "\x08",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\r\n",
        "  ",
        "\"mcpServers\"",
        "{}",
        "// c\n",
        "/* c */",
        "\"a\": {}",
        "\"x\": 1.0",
        "[mcp_servers.a]\n",
        "[mcp_servers]\n",
        "command = \"x\"\n",
        "# c\n",
        "a = 1\n",
        "extensions:\n",
        "  a:\n",
        "    uri: x\n",
        "- y\n",
        "&a ",
        "|\n",
        "'q'",
        "\"context_servers\": {",
        "\"servers\": {",
        "\u{feff}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_body(bytes in made_of(MESSAGES)) { json_rpc(&bytes); }

        #[test]
        fn any_output(bytes in made_of(MESSAGES)) { server_output(&bytes); }

        #[test]
        fn any_events(bytes in made_of(EVENTS)) { event_stream(&bytes); }

        #[test]
        fn any_settings(bytes in made_of(SETTINGS)) { configuration(&bytes); }

        #[test]
        fn any_file(first in any::<u8>(), bytes in made_of(FILES)) { client_file(&[&[first][..], &bytes].concat()); }
    }
}
