//! `/api/v1/setup`: what is still to be set up, and the call that proves that it works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::ai_clients::import::plan::{Selection, with_environment};
use crate::ai_clients::own_entry::OwnEntry;
use crate::ai_clients::{edit, import, own_entry};
use crate::catalog::call_variant::Intent;
use crate::config::ServerConfig;
use crate::contract::api::{Setup, SetupCall, SetupProof};
use crate::contract::failure::FailureKind;
use crate::gateway::direct_mode::qualified_name;
use crate::server::rest::connect::read_files;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;
use crate::upstream::one_session::OneSession;

/// How long the session may take to open: a client also starts our program.
const OPEN: Duration = Duration::from_secs(30);
/// How long the call may take.
const CALL: Duration = Duration::from_secs(30);
/// The name under which the session's log is kept.
const LOG: &str = "mcpproxy-setup";
/// Tools that are tried until one works: a server's read-only tool may need something that it does not declare.
const MOST_TRIES: usize = 3;
const SEARCH: &str = "retrieve_tools";

/// Returns what is still to be set up.
pub(super) async fn show(State(app): State<Arc<App>>) -> Response {
    let store = app.config.store().clone();
    let read = read_files(&app, move |homes, proxy| {
        let existing = store.document().map_err(|error| error.to_string())?.entries();
        let (sources, _) = import::files::of_all(homes);
        let plan = with_environment(&sources, &existing, &Selection::default(), proxy, None);
        Ok::<_, String>((edit::list(homes, proxy), plan.imported))
    });
    let (clients, imported) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return failed(FailureKind::Internal, error),
        Err((kind, error)) => return failed(kind, error),
    };
    let mut import_from: Vec<String> = imported.iter().map(|one| one.format_name.to_owned()).collect();
    import_from.sort();
    import_from.dedup();
    let importable = imported.into_iter().map(|one| one.name).collect();
    ok(Setup::new(clients, importable, import_from, &app.servers().servers))
}

/// Makes a call over the entry of each connected AI client, or over the usual address if none is connected.
pub(super) async fn prove(State(app): State<Arc<App>>) -> Response {
    let read = read_files(&app, |homes, proxy| {
        let found = own_entry::of_all(homes, proxy);
        if found.is_empty() { vec![own_entry::of_address(proxy)] } else { found }
    });
    let entries = match read.await {
        Ok(entries) => entries,
        Err((kind, error)) => return failed(kind, error),
    };
    let mut calls = Vec::new();
    for entry in entries {
        calls.push(call_over(&app, entry).await);
    }
    ok(SetupProof { calls })
}

/// Makes a call over one entry.
async fn call_over(app: &App, entry: OwnEntry) -> SetupCall {
    let mut call = SetupCall {
        client: entry.client.to_owned(),
        entry: entry.shown,
        ..SetupCall::default()
    };
    let config = match entry.entry.and_then(config) {
        Ok(config) => config,
        Err(error) => {
            call.error = Some(error);
            return call;
        }
    };
    let began = Instant::now();
    match app.upstreams.open_one(config).await {
        Ok(session) => {
            call.open_ms = milliseconds(began);
            call_first(app, &session, &mut call).await;
            session.end().await;
        }
        Err(error) => call.error = Some(error),
    }
    call
}

fn config(mut entry: Map<String, Value>) -> Result<ServerConfig, String> {
    entry.insert("name".to_owned(), json!(LOG));
    let mut config: ServerConfig =
        serde_json::from_value(Value::Object(entry)).map_err(|error| format!("the entry is invalid: {error}"))?;
    config.enabled = true;
    config.init_timeout = Some(OPEN);
    Ok(config)
}

/// Calls the first tool that changes nothing and needs no arguments; a tool search if there is none.
async fn call_first(app: &App, session: &OneSession<'_>, call: &mut SetupCall) {
    let has = |name: &str| session.tools().iter().any(|tool| tool.name == name);
    let read = Intent::Read.tool();
    let candidates = harmless(app);
    let is_server = |name: &str| app.upstreams.snapshot(name).is_some();
    let named = candidates.into_iter().filter_map(|(server, tool)| {
        // In direct mode the client sees the servers' tools themselves.
        let listed = qualified_name::offered(&server, &tool, is_server);
        let request = if has(read) {
            (read.to_owned(), Map::from_iter([("name".to_owned(), json!(format!("{server}:{tool}")))]))
        } else {
            has(&listed).then(|| (listed, Map::new()))?
        };
        Some((server, tool, request))
    });
    for (server, tool, (name, arguments)) in named.take(MOST_TRIES) {
        let began = Instant::now();
        let called = session.call(&name, arguments, CALL).await.and_then(succeeded);
        call.call_ms = milliseconds(began);
        call.error = called.err().map(|error| format!("the call of `{server}:{tool}` failed: {error}"));
        (call.server, call.tool) = (server, tool);
        if call.error.is_none() {
            return;
        }
    }
    if call.tool.is_empty() && has(SEARCH) {
        let began = Instant::now();
        let arguments = Map::from_iter([("query".to_owned(), json!("list files"))]);
        call.error = session.call(SEARCH, arguments, CALL).await.and_then(succeeded).err();
        call.call_ms = milliseconds(began);
    }
}

/// The tools of connected servers that change nothing and need no arguments. Those that stay on this computer come first.
fn harmless(app: &App) -> Vec<(String, String)> {
    let mut found: Vec<(bool, String, String)> = Vec::new();
    for server in app.upstreams.snapshots() {
        for tool in server.tools() {
            let hints = tool.annotations.as_ref();
            let reads = hints.and_then(|hints| hints.read_only_hint) == Some(true);
            if reads && needs_no_arguments(&tool.input_schema) {
                let reaches_out = hints.and_then(|hints| hints.open_world_hint) != Some(false);
                found.push((reaches_out, server.config.name.clone(), tool.name.to_string()));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, server, tool)| (server, tool)).collect()
}

fn needs_no_arguments(schema: &Map<String, Value>) -> bool {
    schema.get("required").and_then(Value::as_array).is_none_or(Vec::is_empty)
}

/// Whether a tool's result is a success.
fn succeeded(result: Value) -> Result<(), String> {
    if result.get("isError") != Some(&Value::Bool(true)) {
        return Ok(());
    }
    let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or("the tool reported an error");
    Err(text.chars().take(300).collect())
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_result_says_why() {
        assert_eq!(succeeded(json!({"content": []})), Ok(()));
        let failed = json!({"isError": true, "content": [{"type": "text", "text": "no token"}]});
        assert_eq!(succeeded(failed), Err("no token".to_owned()));
    }

    #[test]
    fn a_tool_with_a_required_argument_is_not_called() {
        let schema = |value: Value| value.as_object().cloned().unwrap();
        assert!(needs_no_arguments(&schema(json!({"type": "object"}))));
        assert!(needs_no_arguments(&schema(json!({"required": []}))));
        assert!(!needs_no_arguments(&schema(json!({"required": ["path"]}))));
    }
}
