//! The latest tool calls over REST. Arguments and results are not stored.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::contract::failure::FailureKind;
use crate::gateway::call_log::Wanted;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

/// Default and maximum number of calls in one response.
const USUAL: usize = 50;
const MOST: usize = 1000;

/// Query parameters. Other parameters of the Go core's trays are ignored.
#[derive(Deserialize)]
pub struct Asked {
    /// Kinds of activity, separated by commas. Only tool calls are stored.
    #[serde(rename = "type")]
    kinds: Option<String>,
    server: Option<String>,
    status: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

/// `GET /api/v1/activity`
pub async fn list(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    let kept = asked.kinds.is_none_or(|kinds| kinds.split(',').any(|kind| kind.trim() == "tool_call"));
    let limit = asked.limit.unwrap_or(USUAL).min(MOST);
    let mut found = app.proxy.activity().list(&Wanted {
        server: asked.server.filter(|server| !server.is_empty()),
        status: asked.status.filter(|status| !status.is_empty()),
        limit,
        offset: asked.offset,
    });
    if !kept {
        found.activities.clear();
        found.total = 0;
    }
    ok(found)
}

/// `GET /api/v1/activity/{id}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match app.proxy.activity().one(&id) {
        Some(call) => ok(serde_json::json!({"activity": call})),
        None => failed(FailureKind::NotFound, format!("there is no activity with the ID `{id}`")),
    }
}

/// `GET /api/v1/activity/summary`
pub async fn summary(State(app): State<Arc<App>>) -> Response {
    ok(app.proxy.activity().summary())
}
