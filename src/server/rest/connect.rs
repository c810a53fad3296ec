//! `/api/v1/connect`: AI clients, and this proxy's entry in their configuration files.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::ai_clients::edit;
use crate::ai_clients::edit::Operation;
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::known_clients;
use crate::ai_clients::known_clients::{Client, Homes};
use crate::ai_clients::refusal::ClientEditError;
use crate::contract::api::{ConnectRefused, ConnectRequest};
use crate::contract::failure::FailureKind;
use crate::server::rest::response::{failed, ok, status};
use crate::server::state::App;

/// Query parameters of a preview.
#[derive(Deserialize)]
pub struct Named {
    server_name: Option<String>,
    profile: Option<String>,
}

pub async fn list(State(app): State<Arc<App>>) -> Response {
    with_files(&app, |homes, proxy| ok(edit::list(homes, proxy))).await
}

pub async fn look(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let Some(client) = known_clients::client(&id) else { return unknown(&id) };
    with_files(&app, move |homes, proxy| ok(edit::inspect(client, homes, proxy, true))).await
}

pub async fn preview(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(Named { server_name, profile }): Query<Named>,
) -> Response {
    let Some(client) = known_clients::client(&id) else { return unknown(&id) };
    let profile = match known_profile(&app, profile) {
        Ok(profile) => profile,
        Err(sentence) => return failed(FailureKind::Invalid, sentence),
    };
    let preview = move |homes: &Homes, proxy: &Proxy| {
        let proxy = proxy.clone().within(profile);
        match edit::preview(client, homes, &proxy, server_name.as_deref()) {
            Ok(preview) => ok(preview),
            Err(refused) => not_done(&refused),
        }
    };
    with_files(&app, preview).await
}

pub async fn connect(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Response {
    let connect = |request: &ConnectRequest| Operation::Connect {
        force: request.force,
        token: request.precondition_token.clone(),
    };
    change(&app, &id, &body, connect).await
}

pub async fn disconnect(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Response {
    change(&app, &id, &body, |_| Operation::Disconnect).await
}

pub async fn undo(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Response {
    let undo = |request: &ConnectRequest| Operation::Undo {
        backup: request.backup_name.clone(),
    };
    change(&app, &id, &body, undo).await
}

async fn change(app: &App, id: &str, body: &[u8], operation: impl FnOnce(&ConnectRequest) -> Operation) -> Response {
    let Some(client) = known_clients::client(id) else { return unknown(id) };
    // A missing body counts as `{}`.
    let read = if body.is_empty() { Ok(ConnectRequest::default()) } else { serde_json::from_slice(body) };
    let Ok(request) = read else {
        return failed(
            FailureKind::Invalid,
            "expected a JSON object: `server_name`, `profile`, `force`, `precondition_token` or `backup_name`",
        );
    };
    let profile = match known_profile(app, request.profile.clone()) {
        Ok(profile) => profile,
        Err(sentence) => return failed(FailureKind::Invalid, sentence),
    };
    let operation = operation(&request);
    let act =
        move |homes: &Homes, proxy: &Proxy| answer(client, homes, &proxy.clone().within(profile), &request, &operation);
    with_files(app, act).await
}

/// Returns the profile of a request; `None` without one.
///
/// # Errors
/// The profile does not exist.
fn known_profile(app: &App, profile: Option<String>) -> Result<Option<String>, String> {
    let Some(name) = profile.filter(|name| !name.is_empty()) else { return Ok(None) };
    if app.config.current().profiles.iter().any(|known| known.name == name) {
        return Ok(Some(name));
    }
    Err(format!("unknown profile `{name}`; `mcpproxy profile list` lists all profiles"))
}

fn answer(
    client: &'static Client,
    homes: &Homes,
    proxy: &Proxy,
    request: &ConnectRequest,
    operation: &Operation,
) -> Response {
    match edit::apply(client, homes, proxy, request.server_name.as_deref(), operation) {
        Ok(result) => {
            tracing::info!(
                client = client.id,
                action = result.action.word(),
                "handled a request to change an AI client's configuration"
            );
            ok(result)
        }
        Err(refused) => not_done(&refused),
    }
}

fn not_done(refused: &ClientEditError) -> Response {
    let result = refused.result.as_ref().clone();
    let body = ConnectRefused {
        success: false,
        error: result.message.clone(),
        action: result.action.clone(),
        data: result,
    };
    (status(refused.why.kind()), Json(body)).into_response()
}

/// Runs file operations on a blocking thread.
async fn with_files(app: &App, act: impl FnOnce(&Homes, &Proxy) -> Response + Send + 'static) -> Response {
    read_files(app, act).await.unwrap_or_else(|(kind, error)| failed(kind, error))
}

/// Returns the result of file operations on a blocking thread.
///
/// # Errors
/// The user has no home directory, or the operations were aborted.
pub(super) async fn read_files<T: Send + 'static>(
    app: &App,
    act: impl FnOnce(&Homes, &Proxy) -> T + Send + 'static,
) -> Result<T, (FailureKind, String)> {
    let (listen, key, root) = (app.listen_addr.clone(), app.api_key.clone(), app.root.clone());
    let require_mcp_auth = app.config.current().require_mcp_auth;
    let is_encrypted = app.config.at_start().tls.enabled;
    let acted = tokio::task::spawn_blocking(move || match edit::homes() {
        Some(homes) => {
            let proxy = Proxy::new(&listen, require_mcp_auth, Some(&key), edit::bridge(&root));
            Ok(act(&homes, &proxy.encrypted(is_encrypted)))
        }
        None => Err((FailureKind::Unavailable, "could not find the home directory of this user".to_owned())),
    });
    acted.await.unwrap_or_else(|error| Err((FailureKind::Internal, error.to_string())))
}

fn unknown(id: &str) -> Response {
    let ids: Vec<&str> = known_clients::CLIENTS.iter().map(|client| client.id).collect();
    failed(FailureKind::NotFound, format!("unknown AI client `{id}`; use one of {}", ids.join(", ")))
}
