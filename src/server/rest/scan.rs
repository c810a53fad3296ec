//! Findings of the scanner in the tools of servers.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;

use crate::contract::failure::FailureKind;
use crate::control::scan_tools::scan_tools;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;
use crate::upstream::error::ApproveError;

#[derive(serde::Deserialize)]
pub struct Asked {
    server: Option<String>,
}

/// Scans the tools of one server, or of all servers. Runs on a blocking thread, because thousands of tools take
/// seconds.
pub async fn scan(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    if let Some(name) = asked.server.as_ref().filter(|name| app.upstreams.snapshot(name).is_none()) {
        return failed(FailureKind::NotFound, ApproveError::UnknownServer(name.clone()).to_string());
    }
    let servers = app.upstreams.snapshots();
    match tokio::task::spawn_blocking(move || scan_tools(&servers, asked.server.as_deref())).await {
        Ok(report) => ok(report),
        Err(error) => failed(FailureKind::Internal, format!("could not scan the tools: {error}")),
    }
}
