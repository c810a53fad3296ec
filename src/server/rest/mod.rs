//! REST and SSE for the trays, the CLI and users. TCP (with API key) and the local listener have the same routes.

pub mod access;
pub mod activity;
pub mod config;
pub mod connect;
pub mod diagnostics;
pub mod events;
mod exact_json;
pub mod fix_limiter;
pub mod fixes;
pub mod import;
pub mod openapi;
pub mod problems;
mod profiles;
mod registries;
pub mod response;
pub mod scan;
mod secrets;
pub mod servers;
mod sessions;
mod setup;
mod stats;
mod takeover;
pub mod telemetry;
mod tool_calls;
pub mod tools;
pub mod unused_settings;
pub mod views;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

pub use access::{Listener, check as check_access};
pub use events::log_changes;

use crate::contract::api::{Alive, Endpoints, Envelope, Info, Ready, Stopping, UiTicket};
use crate::contract::failure::FailureKind;
use crate::contract::names;
use crate::server::jobs::check_for_updates::look;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

/// All routes except `/mcp`, for one listener.
pub fn router(app: Arc<App>, listener: Listener) -> Router {
    let api = Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/info", get(info))
        .route("/api/v1/servers", get(servers::list).post(servers::add))
        .route("/api/v1/servers/{name}", axum::routing::delete(servers::remove).patch(servers::patch))
        .route("/api/v1/servers/{name}/review", get(servers::review))
        .route("/api/v1/servers/{name}/tools", get(servers::tools))
        .route("/api/v1/servers/{name}/tools/approve", post(servers::approve))
        .route("/api/v1/servers/{name}/tools/{tool}/enabled", post(servers::switch_tool))
        .route("/api/v1/servers/{name}/logs", get(servers::logs))
        .route("/api/v1/servers/{name}/tool-calls", get(tool_calls::of_server))
        .route("/api/v1/servers/enable_all", post(servers::enable_all))
        .route("/api/v1/servers/disable_all", post(servers::disable_all))
        .route("/api/v1/servers/restart_all", post(servers::restart_all))
        .route("/api/v1/servers/import/paths", get(import::paths))
        .route("/api/v1/servers/import", post(import::upload))
        .route("/api/v1/servers/import/json", post(import::json))
        .route("/api/v1/servers/import/path", post(import::path))
        .route("/api/v1/activity", get(activity::list))
        .route("/api/v1/activity/summary", get(activity::summary))
        .route("/api/v1/activity/usage", get(activity::usage))
        .route("/api/v1/activity/export", get(activity::export))
        .route("/api/v1/activity/purge", post(activity::purge))
        .route("/api/v1/activity/{id}", get(activity::one))
        .route("/api/v1/tools", get(tools::list))
        .route("/api/v1/tools/call", post(tools::call))
        .route("/api/v1/index/search", get(tools::search))
        .route("/api/v1/scan", get(scan::scan))
        .route("/api/v1/diagnostics", get(diagnostics::diagnostics))
        .route("/api/v1/doctor", get(diagnostics::diagnostics))
        .route("/api/v1/diagnostics/codes", get(fixes::codes))
        .route("/api/v1/diagnostics/fix", post(fixes::fix))
        .route("/api/v1/servers/{name}/diagnostics", get(fixes::of_server))
        .route("/api/v1/servers/{name}/login", post(servers::login))
        .route("/api/v1/servers/{name}/{action}", post(servers::act))
        .route("/api/v1/config", get(config::show).patch(config::patch))
        .route("/api/v1/config/validate", post(config::validate))
        .route("/api/v1/config/apply", post(config::apply))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/sessions/{id}", get(sessions::one))
        .route("/api/v1/stats/tokens", get(stats::token_stats))
        .route("/api/v1/secrets", get(secrets::list))
        .route("/api/v1/secrets/config", get(secrets::list))
        .route("/api/v1/setup", get(setup::show))
        .route("/api/v1/setup/proof", post(setup::prove))
        .route("/api/v1/connect", get(connect::list))
        .route("/api/v1/connect/{client}", get(connect::look).post(connect::connect).delete(connect::disconnect))
        .route("/api/v1/connect/{client}/preview", get(connect::preview))
        .route("/api/v1/connect/{client}/undo", post(connect::undo))
        .route("/api/v1/telemetry/payload", get(telemetry::payload))
        .route("/api/v1/profiles", get(profiles::list))
        .route("/api/v1/profiles/active", get(profiles::active).put(profiles::set_active))
        .route("/api/v1/profiles/{name}", axum::routing::put(profiles::set).delete(profiles::remove))
        .route("/api/v1/routing", get(profiles::routing))
        .route("/api/v1/registries", get(registries::list).post(registries::add))
        .route("/api/v1/registries/{id}", axum::routing::delete(registries::remove))
        .route("/api/v1/registries/{id}/servers", get(registries::search))
        .route("/api/v1/registries/{id}/servers/{server}", get(registries::show))
        .route("/api/v1/registries/{id}/servers/{server}/add", post(registries::add_server))
        .route("/api/v1/takeover", get(takeover::show).post(takeover::change))
        .route("/api/v1/telemetry/received", get(telemetry::received))
        .route("/api/v1/telemetry/forget", post(telemetry::forget))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/events", get(events::events));
    let api = match listener {
        // Only a program of the same user may stop the core or open the web UI without the key.
        Listener::Local => api.route("/api/v1/shutdown", post(shutdown)).route("/api/v1/ui/ticket", post(ui_ticket)),
        Listener::Tcp => api,
    };
    // Unknown paths return 404 even without a key: clients interpret 401 as a request to sign in.
    api.route_layer(axum::middleware::from_fn_with_state((app.clone(), listener), access::check))
        .merge(health_routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

fn health_routes() -> Router<Arc<App>> {
    let alive = || async {
        Json(Alive {
            status: "ok".to_owned(),
        })
    };
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

/// Query parameters of `/info`.
#[derive(Deserialize)]
struct InfoQuery {
    /// Check for a newer release first.
    #[serde(default)]
    refresh: bool,
}

async fn info(State(app): State<Arc<App>>, Query(query): Query<InfoQuery>) -> Response {
    if query.refresh {
        look(&app).await;
    }
    ok(Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        web_ui_url: app.web_ui_url(),
        listen_addr: app.listen_addr.clone(),
        endpoints: Endpoints {
            http: app.listen_addr.clone(),
            socket: app.local_addr.clone(),
        },
        launched_by: app.facts.launched_by().into(),
        pid: std::process::id(),
        implementation: Some(names::IMPLEMENTATION.to_owned()),
        https: app.is_encrypted,
        can_shut_down: true,
        update_policy: Some(app.update_policy()),
        update: app.update(),
    })
}

async fn shutdown(State(app): State<Arc<App>>) -> Response {
    tracing::info!("received a request to stop over the local socket");
    app.stop.cancel();
    (StatusCode::ACCEPTED, Json(Envelope::ok(Stopping { stopping: true }))).into_response()
}

async fn wrong_method(method: axum::http::Method) -> Response {
    failed(FailureKind::WrongMethod, format!("{method} is not possible here: see `/api/v1/openapi.json`"))
}

/// Returns a URL that opens the web UI in a browser once, within 30 seconds.
async fn ui_ticket(State(app): State<Arc<App>>) -> Response {
    let ticket = app.access.issue_ticket(std::time::Instant::now());
    ok(UiTicket {
        url: format!("{}open?ticket={ticket}", app.web_ui_url()),
    })
}

async fn unknown_route() -> Response {
    failed(FailureKind::NotFound, "not found: this version does not have this path")
}
