//! `/api/v1/servers/{name}/tool-calls`: the calls of one server, from the activity log, in the Go core's shape.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use crate::activity::Filter;
use crate::contract::api::{ActivityKind, ActivityRecord, ServerToolCalls, ToolCall};
use crate::contract::failure::FailureKind;
use crate::server::rest::activity::with_log;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

/// How many calls one response holds by default, and at most.
const USUAL: usize = 50;
const MOST: usize = 100;

#[derive(Deserialize)]
pub(super) struct ToolCallQuery {
    limit: Option<usize>,
}

/// `GET /api/v1/servers/{name}/tool-calls`
pub(super) async fn of_server(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<ToolCallQuery>,
) -> Response {
    if app.upstreams.snapshot(&name).is_none() {
        return failed(FailureKind::NotFound, format!("no server is named `{name}`"));
    }
    let limit = query.limit.filter(|limit| (1..=MOST).contains(limit)).unwrap_or(USUAL);
    let config_path = app.config.store().path().display().to_string();
    with_log(&app, move |log| {
        let filter = Filter {
            kinds: vec![ActivityKind::ToolCall],
            server: Some(name.clone()),
            ..Filter::default()
        };
        let found = log.list(&filter, limit, 0).activities;
        let tool_calls: Vec<ToolCall> = found.into_iter().map(|record| shown(record, &config_path)).collect();
        ok(ServerToolCalls {
            server_name: name,
            total: tool_calls.len(),
            tool_calls,
        })
    })
    .await
}

fn shown(record: ActivityRecord, config_path: &str) -> ToolCall {
    ToolCall {
        id: record.id,
        server_id: record.server_name.clone(),
        server_name: record.server_name,
        tool_name: record.tool_name,
        arguments: record.arguments.unwrap_or_else(|| json!({})),
        response: record.response,
        error: record.error_message,
        duration: record.duration_ms.saturating_mul(1_000_000),
        timestamp: record.timestamp,
        config_path: config_path.to_owned(),
        execution_type: "direct".to_owned(),
        mcp_session_id: record.session_id,
        mcp_client_name: record.client_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_in_the_go_cores_units() {
        let record = ActivityRecord {
            id: "7".to_owned(),
            server_name: "s".to_owned(),
            tool_name: "t".to_owned(),
            duration_ms: 12,
            error_message: Some("no".to_owned()),
            ..ActivityRecord::default()
        };
        let call = shown(record, "/c.json");
        assert_eq!((call.duration, call.arguments, call.error.as_deref()), (12_000_000, json!({}), Some("no")));
        assert_eq!((call.server_id.as_str(), call.response), ("s", None));
    }
}
