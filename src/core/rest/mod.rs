//! REST and SSE for the trays, the CLI and people: the same routes over TCP (with key) and the local stream.

mod access;
mod config;
mod events;
mod servers;
mod telemetry;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use access::{Door, check as check_access};

use crate::contract::api::{CoreStatus, Endpoints, Envelope, Info, Ready, Status, TelemetryState};
use crate::core::config::Config;
use crate::core::config::store::ConfigStore;
use crate::core::mcp::Proxy;
use crate::core::run_facts::RunFacts;
use crate::core::upstream::registry::Upstreams;
use crate::core::upstream::{server_stats, upstream_stats};
use crate::telemetry::payload::AnonymousId;

/// What the routes know and act on.
pub struct App {
    pub config: watch::Sender<Arc<Config>>,
    pub store: ConfigStore,
    /// One edit of the configuration at a time.
    pub edits: tokio::sync::Mutex<()>,
    pub upstreams: Arc<Upstreams>,
    pub proxy: Arc<Proxy>,
    pub facts: RunFacts,
    /// The identifier of an installation that has none yet; the same for the whole run.
    pub candidate_id: AnonymousId,
    /// The key TCP callers must show.
    pub api_key: String,
    /// The address really listened on.
    pub listen_addr: String,
    pub local_addr: String,
    pub ready: watch::Receiver<bool>,
    /// Rises with every change that `/events` tells of.
    pub changes: watch::Receiver<u64>,
    pub stop: CancellationToken,
}

/// All routes but `/mcp`, as they are behind one door.
pub fn router(app: Arc<App>, door: Door) -> Router {
    let api = Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/info", get(info))
        .route("/api/v1/servers", get(servers::list).post(servers::add))
        .route("/api/v1/servers/{name}", axum::routing::delete(servers::remove))
        .route("/api/v1/servers/{name}/{action}", post(servers::act))
        .route("/api/v1/config", axum::routing::patch(config::patch))
        .route("/api/v1/telemetry/payload", get(telemetry::payload))
        .route("/events", get(events::events));
    let api = match door {
        // Only a program of the same user may end the core.
        Door::Local => api.route("/api/v1/shutdown", post(shutdown)),
        Door::Tcp => api,
    };
    api.fallback(unknown_route)
        .layer(axum::middleware::from_fn_with_state((app.clone(), door), access::check))
        .merge(health_routes())
        .with_state(app)
}

fn health_routes() -> Router<Arc<App>> {
    let alive = || async { Json(serde_json::json!({"status": "ok"})) };
    Router::new()
        .route("/ready", get(ready))
        .route("/readyz", get(ready))
        .route("/livez", get(alive))
        .route("/healthz", get(alive))
        .route("/health", get(alive))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = *app.ready.borrow() && !app.stop.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready })).into_response()
}

async fn status(State(app): State<Arc<App>>) -> Response {
    ok(app.status())
}

async fn info(State(app): State<Arc<App>>) -> Response {
    ok(Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        web_ui_url: String::new(),
        listen_addr: app.listen_addr.clone(),
        endpoints: Endpoints {
            http: app.listen_addr.clone(),
            socket: app.local_addr.clone(),
        },
        launched_by: app.facts.launched_by().to_owned(),
        pid: std::process::id(),
        implementation: Some("mcpproxy-rs".to_owned()),
        can_shut_down: true,
    })
}

async fn shutdown(State(app): State<Arc<App>>) -> Response {
    tracing::info!("asked to stop over the local socket");
    app.stop.cancel();
    (StatusCode::ACCEPTED, Json(Envelope::ok(serde_json::json!({"stopping": true})))).into_response()
}

async fn unknown_route() -> Response {
    failed(StatusCode::NOT_FOUND, "there is no such address in this version's API")
}

impl App {
    /// The core as `GET /api/v1/status` shows it.
    pub fn status(&self) -> Status {
        let servers = self.upstreams.snapshots();
        let stats = upstream_stats(&servers);
        let ready = *self.ready.borrow();
        let (phase, message) = if self.stop.is_cancelled() {
            ("Stopping", "Ending the servers")
        } else if ready {
            ("Ready", "Serving")
        } else {
            ("Starting", "Starting")
        };
        let now = jiff::Timestamp::now();
        let facts = self.facts.facts();
        Status {
            running: ready,
            edition: "personal".to_owned(),
            listen_addr: self.listen_addr.clone(),
            upstream_stats: stats,
            status: CoreStatus {
                running: ready,
                listen_addr: self.listen_addr.clone(),
                phase: phase.to_owned(),
                message: message.to_owned(),
                tools_indexed: u32::try_from(self.proxy.indexed_tools()).unwrap_or(u32::MAX),
                last_updated: format!("{now:.0}"),
                process_pid: std::process::id(),
            },
            routing_mode: "retrieve_tools".to_owned(),
            timestamp: now.as_second(),
            env_kind: facts.env_kind,
            env_markers: facts.env_markers,
            launch_source: facts.launch_source,
            autostart_enabled: facts.autostart_enabled,
            activation: facts.activation,
            telemetry: Some(self.telemetry()),
        }
    }

    fn telemetry(&self) -> TelemetryState {
        let settings = &self.config.borrow().telemetry;
        let consent = self.facts.consent(settings);
        TelemetryState {
            enabled: consent.may_record(),
            sending: consent.word().to_owned(),
            reason: consent.reason().to_owned(),
            notice_shown: settings.notice_shown,
        }
    }

    /// The servers as `GET /api/v1/servers` shows them.
    pub fn servers(&self) -> crate::contract::api::Servers {
        let servers = self.upstreams.snapshots();
        crate::contract::api::Servers {
            stats: server_stats(&servers),
            servers: servers.iter().map(crate::core::upstream::Snapshot::to_api).collect(),
        }
    }
}

fn ok<T: Serialize>(data: T) -> Response {
    Json(Envelope::ok(data)).into_response()
}

fn failed(status: StatusCode, sentence: impl Into<String>) -> Response {
    (status, Json(Envelope::failed(sentence))).into_response()
}
