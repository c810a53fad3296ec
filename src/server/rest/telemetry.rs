//! Previews the next usage report; shows and deletes the collector's data about this installation.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::contract::failure::FailureKind;
use crate::server::jobs::send_heartbeats::{count_configured_clients, preview};
use crate::server::rest::response::{failed, ok};
use crate::server::run_facts::endpoint;
use crate::server::state::App;
use crate::telemetry::ask_collector::ask_collector;
use crate::telemetry::collector::Collector;
use crate::telemetry::payload::{AnonymousId, Moment};

pub async fn payload(State(app): State<Arc<App>>) -> Response {
    let config = match app.config.reload_telemetry().await {
        Ok(config) => config,
        Err(error) => return failed(FailureKind::Internal, error.to_string()),
    };
    count_configured_clients(&app).await;
    match preview(&app, &config, crate::os::clock::now().as_second()) {
        Ok(clean) => match serde_json::from_slice::<serde_json::Value>(clean.bytes()) {
            Ok(payload) => ok(payload),
            Err(error) => failed(FailureKind::Internal, error.to_string()),
        },
        Err(reason) => failed(FailureKind::Conflict, reason),
    }
}

/// Shows the collector's data about this installation.
pub async fn received(State(app): State<Arc<App>>) -> Response {
    match ask(&app, |collector| collector.mine_url().clone()).await {
        Ok(stored) => ok(stored),
        Err(answer) => answer,
    }
}

/// Deletes the collector's data about this installation, and gives the installation a new ID.
pub async fn forget(State(app): State<Arc<App>>) -> Response {
    let answer = match ask(&app, |collector| collector.forget_url().clone()).await {
        Ok(answer) => answer,
        Err(answer) => return answer,
    };
    if answer.get("forgotten") != Some(&json!(true)) {
        return failed(FailureKind::Upstream, "the collector has not deleted the data yet; try again later");
    }
    let keys = vec![
        ("anonymous_id", json!(AnonymousId::random())),
        ("anonymous_id_created_at", json!(Moment::from_unix(crate::os::clock::now().as_second()))),
    ];
    match app.config.edit_telemetry(keys).await {
        Ok(()) => ok(answer),
        Err(error) => failed(FailureKind::Internal, error.to_string()),
    }
}

async fn ask(app: &App, url: impl FnOnce(&Collector) -> crate::os::https::Url) -> Result<Value, Response> {
    let config = app.config.reload_telemetry().await;
    let config = config.map_err(|error| failed(FailureKind::Internal, error.to_string()))?;
    let telemetry = &config.telemetry;
    let collector = endpoint(telemetry).and_then(Collector::parse);
    let id = telemetry.anonymous_id.as_deref().and_then(AnonymousId::existing);
    let (Some(collector), Some(id)) = (collector, id) else {
        return Err(failed(FailureKind::Conflict, "this installation has sent nothing to a collector"));
    };
    let url = url(&collector);
    match ask_collector(&url, &id).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(failed(FailureKind::Upstream, format!("could not ask the collector: {error}"))),
    }
}
