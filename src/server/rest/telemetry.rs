//! What the next heartbeat would say. Looking at it changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::server::jobs::send_heartbeats::{count_configured_clients, preview};
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

pub async fn payload(State(app): State<Arc<App>>) -> Response {
    let config = match app.config.reload_telemetry().await {
        Ok(config) => config,
        Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    count_configured_clients(&app).await;
    match preview(&app, &config, jiff::Timestamp::now().as_second()) {
        Ok(clean) => match serde_json::from_slice::<serde_json::Value>(clean.bytes()) {
            Ok(payload) => ok(payload),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Err(reason) => failed(StatusCode::CONFLICT, reason),
    }
}
