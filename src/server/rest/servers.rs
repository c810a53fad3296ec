//! `/api/v1/servers`: list, add, remove, enable, disable, approve, restart.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::config::store::StoreError;
use crate::contract::api::{
    Approved, BulkResult, Envelope, LoginFailed, LoginImpossible, LoginStarted, ServerAction, ServerActionKind,
    ServerLogs, ToolSwitch,
};
use crate::contract::failure::FailureKind;
use crate::contract::names;
use crate::contract::review::{ApproveServer, ApproveTools, ReviewChange, ReviewConflict};
use crate::control::servers::{ApproveServerError, Origin};
use crate::os::{browser, files};
use crate::server::rest::response::{failed, ok, status};
use crate::server::rest::{exact_json, views};
use crate::server::state::App;
use crate::upstream::error::{ApproveError, SignInError};

/// Maximum number of log lines in one response.
const MOST_LINES: usize = 1000;

pub async fn list(State(app): State<Arc<App>>) -> Response {
    ok(app.servers())
}

/// Adds a server: the body is an entry of `mcpServers`, all keys of which are kept. The server needs approval unless
/// the user's request or the configuration approves it.
pub async fn add(State(app): State<Arc<App>>, headers: HeaderMap, body: exact_json::Body) -> Response {
    let Some(Value::Object(entry)) = exact_json::read(body) else {
        return failed(FailureKind::Invalid, "expected a JSON object: an entry of `mcpServers`");
    };
    let Some(name) = entry.get("name").and_then(Value::as_str).map(str::to_owned) else {
        return failed(FailureKind::Invalid, "the server needs a `name`");
    };
    match app.control.add(&name, entry, &origin(&headers)).await {
        Ok(()) => done(&name, ServerActionKind::Add),
        Err(error) => refused(&error),
    }
}

/// Changes keys of an entry: objects are merged, `null` removes a key. Approval and name cannot be changed here.
pub async fn patch(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: exact_json::Body,
) -> Response {
    let Some(Value::Object(part)) = exact_json::read(body) else {
        return failed(FailureKind::Invalid, "expected a JSON object: keys of the server's entry");
    };
    if let Some(key) =
        ["name", "quarantined", "added_by", "created", "changed_by"].iter().find(|key| part.contains_key(**key))
    {
        return failed(FailureKind::Invalid, format!("`{key}` cannot be changed here"));
    }
    match app.control.merge_entry(&name, part, &origin(&headers)).await {
        Ok(()) => done(&name, ServerActionKind::Patch),
        Err(error) => refused(&error),
    }
}

pub async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match app.control.remove(&name).await {
        Ok(()) => done(&name, ServerActionKind::Remove),
        Err(error) => refused(&error),
    }
}

/// Returns the origin of a request from its header `X-MCPProxy-Client`. Every REST caller has the user's rights; the
/// header only keeps programs that do not act for the user from approving by accident.
pub fn origin(headers: &HeaderMap) -> Origin {
    let client = headers.get(names::HEADER_CLIENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match client.split('/').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "cli" => Origin::Person("command line"),
        "tray" => Origin::Person("tray"),
        "webui" => Origin::Person("web UI"),
        _ => Origin::Rest,
    }
}

/// Returns the review for the user, and remembers it as shown.
pub async fn review(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match app.control.review(&name).await {
        Ok(review) => ok(review),
        Err(error) => refused(&error),
    }
}

pub async fn act(State(app): State<Arc<App>>, Path((name, action)): Path<(String, String)>, body: Bytes) -> Response {
    let control = &app.control;
    let action = ServerActionKind::from(action.as_str());
    let outcome = match &action {
        ServerActionKind::Enable => control.set_enabled(&name, true).await,
        ServerActionKind::Disable => control.set_enabled(&name, false).await,
        ServerActionKind::Quarantine => control.quarantine(&name).await,
        ServerActionKind::Inspect => return inspect(&app, &name).await,
        ServerActionKind::Unquarantine | ServerActionKind::Approve => {
            return approve_server(&app, &name, action, &body).await;
        }
        ServerActionKind::Logout => control.sign_out(&name),
        ServerActionKind::Restart => control.restart(&name),
        other => {
            let sentence = format!(
                "`{other}` is not an action: expected enable, disable, restart, quarantine, unquarantine, approve, inspect or logout"
            );
            return failed(FailureKind::NotFound, sentence);
        }
    };
    match outcome {
        Ok(()) => done(&name, action),
        Err(error) => refused(&error),
    }
}

/// Lists the tools of a server that needs approval, which is started in isolation for that.
async fn inspect(app: &App, name: &str) -> Response {
    match app.control.inspect(name).await {
        Ok(review) => ok(review),
        Err(error) => failed(error.kind(), error.to_string()),
    }
}

async fn approve_server(app: &App, name: &str, action: ServerActionKind, body: &[u8]) -> Response {
    let request = if body.trim_ascii().is_empty() {
        Ok(ApproveServer::default())
    } else {
        serde_json::from_slice(body)
    };
    let Ok(request) = request else {
        return failed(FailureKind::Invalid, "expected {\"fingerprint\": \"…\"} with the fingerprint from the review");
    };
    match app.control.approve(name, request).await {
        Ok(()) => done(name, action),
        Err(ApproveServerError::Store(error)) => refused(&error),
        Err(ApproveServerError::Tools(error)) => failed(FailureKind::Internal, error.to_string()),
        Err(ApproveServerError::Unconfirmed(unconfirmed)) => conflicting(unconfirmed.to_string(), *unconfirmed.0),
        Err(ApproveServerError::Changed(conflict)) => {
            let sentence = format!("`{name}` has changed since the last review: review it again");
            conflicting(sentence, *conflict)
        }
    }
}

fn conflicting(sentence: String, conflict: ReviewConflict) -> Response {
    let body = Envelope {
        success: false,
        data: Some(conflict),
        error: Some(sentence),
    };
    (status(FailureKind::Conflict), Json(body)).into_response()
}

/// Begins a sign-in: opens the server's page in the user's browser, if the desktop has one.
pub async fn login(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let correlation_id = uuid::Uuid::new_v4().to_string();
    let address = match app.control.sign_in(&name).await {
        Ok(address) => address,
        Err(error @ SignInError::UnknownServer(_)) => return failed(error.kind(), error.to_string()),
        // These two response bodies have the Go core's format, without the envelope.
        Err(error @ SignInError::NotPossible(_)) => {
            let body = LoginImpossible {
                success: false,
                error_type: "validation_error".to_owned(),
                server_name: name,
                message: error.to_string(),
                suggestion: String::new(),
                correlation_id,
            };
            return (status(FailureKind::Invalid), Json(body)).into_response();
        }
        Err(error @ SignInError::Failed(_)) => {
            let body = LoginFailed {
                success: false,
                error_type: "flow_error".to_owned(),
                error_code: "OAUTH_FLOW_FAILED".to_owned(),
                server_name: name,
                correlation_id,
                request_id: String::new(),
                message: error.to_string(),
                suggestion: String::new(),
                debug_hint: String::new(),
            };
            return (status(FailureKind::Invalid), Json(body)).into_response();
        }
    };
    let opened = browser::open_page(&address);
    let message = match &opened {
        Ok(()) => format!("Sign in to `{name}` in the browser."),
        Err(_) => format!("Open the URL in a browser on this computer to sign in to `{name}`."),
    };
    ok(LoginStarted {
        success: true,
        server_name: name,
        correlation_id,
        auth_url: Some(address),
        browser_opened: opened.is_ok(),
        browser_error: opened.err().map(|error| error.to_string()),
        message,
    })
}

/// Returns a server's tools with their approvals.
pub async fn tools(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match app.upstreams.snapshot(&name) {
        Some(server) => {
            let tools = views::server_tools(&server);
            let shown = tools.tools.iter().map(|tool| (tool.name.clone(), tool.hash.clone())).collect();
            app.control.record_tools_shown(&name, shown);
            ok(tools)
        }
        None => failed(FailureKind::NotFound, ApproveError::UnknownServer(name).to_string()),
    }
}

#[derive(serde::Deserialize)]
pub struct Tail {
    tail: Option<usize>,
}

/// Returns the last lines of a server's standard error.
pub async fn logs(State(app): State<Arc<App>>, Path(name): Path<String>, Query(asked): Query<Tail>) -> Response {
    if app.upstreams.snapshot(&name).is_none() {
        return failed(FailureKind::NotFound, ApproveError::UnknownServer(name).to_string());
    }
    let lines = asked.tail.unwrap_or(50).min(MOST_LINES);
    match files::last_lines(&app.upstreams.log_of(&name), lines) {
        Ok(logs) => ok(ServerLogs {
            server_name: name,
            count: logs.len(),
            logs,
        }),
        Err(error) => failed(FailureKind::Internal, format!("could not read the server's log: {error}")),
    }
}

/// Approves the tools in `tools`, or with `approve_all` every tool that needs approval.
pub async fn approve(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Result<Json<ApproveTools>, JsonRejection>,
) -> Response {
    let request = match body {
        Ok(Json(request)) if request.approve_all || !request.tools.is_empty() || request.fingerprints.is_some() => {
            request
        }
        _ => {
            let sentence =
                "expected {\"tools\": [\"name\", …]}, {\"approve_all\": true} or {\"fingerprints\": {\"name\": \"…\"}}";
            return failed(FailureKind::Invalid, sentence);
        }
    };
    match app.control.approve_tools(&name, request).await {
        Ok(tools) => ok(Approved {
            approved: u32::try_from(tools.len()).unwrap_or(u32::MAX),
            message: format!("{} tools of `{name}` approved", tools.len()),
            tools,
        }),
        Err(ApproveError::Changed { server, tools }) => {
            let sentence = ApproveError::Changed {
                server,
                tools: tools.clone(),
            }
            .to_string();
            let changes = tools.iter().map(|tool| ReviewChange {
                field: format!("tools.{}", tool.trim_matches('`')),
                ..ReviewChange::default()
            });
            let review = app.control.review(&name).await.unwrap_or_default();
            conflicting(
                sentence,
                ReviewConflict {
                    changes: changes.collect(),
                    review,
                    ..ReviewConflict::default()
                },
            )
        }
        Err(error) => failed(error.kind(), error.to_string()),
    }
}

/// Enables or disables one tool of a server.
pub async fn switch_tool(
    State(app): State<Arc<App>>,
    Path((name, tool)): Path<(String, String)>,
    body: Result<Json<ToolSwitch>, JsonRejection>,
) -> Response {
    let Ok(Json(ToolSwitch { enabled })) = body else {
        return failed(FailureKind::Invalid, "expected {\"enabled\": true} or {\"enabled\": false}");
    };
    // The tools of a server that is not running are unknown.
    if let Some(server) = app.upstreams.snapshot(&name)
        && server.is_connected()
        && !server.has_tool(&tool)
    {
        let (server, tool) = (name, tool);
        return failed(FailureKind::NotFound, ApproveError::UnknownTool { server, tool }.to_string());
    }
    match app.control.set_tool_enabled(&name, &tool, enabled).await {
        Ok(()) => done(&name, if enabled { ServerActionKind::EnableTool } else { ServerActionKind::DisableTool }),
        Err(error) => refused(&error),
    }
}

/// Enables every server.
pub async fn enable_all(State(app): State<Arc<App>>) -> Response {
    all(app.control.set_all_enabled(true).await)
}

/// Disables every server.
pub async fn disable_all(State(app): State<Arc<App>>) -> Response {
    all(app.control.set_all_enabled(false).await)
}

/// Restarts every server that may run.
pub async fn restart_all(State(app): State<Arc<App>>) -> Response {
    all(Ok(app.control.restart_all()))
}

fn all(changed: Result<Vec<String>, StoreError>) -> Response {
    match changed {
        Ok(names) => ok(BulkResult {
            total: names.len(),
            successful: names.len(),
            ..BulkResult::default()
        }),
        Err(error) => refused(&error),
    }
}

fn done(server: &str, action: ServerActionKind) -> Response {
    ok(ServerAction {
        server: server.to_owned(),
        action,
        success: true,
    })
}

fn refused(error: &StoreError) -> Response {
    failed(error.kind(), error.to_string())
}
