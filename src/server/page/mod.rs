//! The web UI at `/ui/`: pages rendered from the values of REST, with forms that work without JavaScript.

pub mod access;
mod act;
mod act_find;
mod act_settings;
mod activity;
mod add;
mod api;
mod clients;
mod find;
mod form;
mod gate;
mod health;
mod home;
mod layout;
mod pages;
mod privacy;
mod profiles;
mod review;
mod server_log;
mod server_options;
mod servers;
mod setting;
mod settings;
mod settings_form;
mod settings_undo;
mod setup;
mod show;
mod shown_values;
mod tools;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::server::page::api::Api;
use crate::server::page::layout::{ICON, SCRIPT, STYLE};
use crate::server::page::pages::Pages;
use crate::server::state::App;

/// Returns the routes of the web UI for the TCP address. `rest` are the routes of REST. `hosts` are the allowed host
/// names besides those of this computer; `None` if they are not checked.
pub fn router(app: Arc<App>, rest: Router, events: Router, hosts: Option<Vec<String>>) -> Router {
    let is_encrypted = app.is_encrypted;
    let port = app.listen_addr.rsplit_once(':').map_or("", |(_, port)| port).to_owned();
    let pages = Arc::new(Pages {
        api: Api::new(rest),
        scheme: if is_encrypted { "https" } else { "http" },
        cookie: format!("mcpproxy_{port}"),
        hosts,
        app,
    });
    let inside = Router::new()
        .route("/ui/", get(show::show_home))
        .route("/ui/servers", get(show::show_servers))
        .route("/ui/servers/{name}", get(show::show_server))
        .route("/ui/servers/{name}/log", get(server_log::show))
        .route("/ui/servers/{name}/log/stream", get(server_log::stream))
        .route("/ui/servers/{name}/edit", post(act::edit_server))
        .route("/ui/servers/{name}/options", get(server_options::show).post(server_options::save))
        .route("/ui/servers/{name}/fix", post(act::fix_server))
        .route("/ui/servers/{name}/{action}", post(act::act_on_server))
        .route("/ui/servers/{name}/tools/{tool}/{action}", post(act::switch_tool))
        .route("/ui/add", get(show::show_add))
        .route("/ui/add/{kind}", post(act::add_server))
        .route("/ui/find", get(act_find::search))
        .route("/ui/find/{registry}/{server}", get(act_find::show).post(act_find::add))
        .route("/ui/import/{kind}", post(act::import))
        .route("/ui/review", get(show::show_reviews))
        .route("/ui/review/{name}", get(show::show_review))
        .route("/ui/review/{name}/approve", post(act::approve_server))
        .route("/ui/review/{name}/tools", post(act::approve_tools))
        .route("/ui/tools", get(show::show_tools))
        .route("/ui/tools/{server}/{tool}", get(show::show_tool).post(act::try_tool))
        .route("/ui/activity", get(show::show_activity))
        .route("/ui/activity/export", get(show::export))
        .route("/ui/activity/{id}", get(show::show_record))
        .route("/ui/clients", get(show::show_clients))
        .route("/ui/clients/{id}", get(show::show_client))
        .route("/ui/clients/{id}/{action}", post(act::act_on_client))
        .route("/ui/setup", get(setup::show_setup))
        .route("/ui/setup/{action}", post(setup::act_on_setup))
        .route("/ui/settings", get(show::show_settings).post(act_settings::save_settings))
        .route("/ui/settings/undo", post(act_settings::undo_settings))
        .route("/ui/profiles", get(show::show_profiles).post(act_settings::create_profile))
        .route("/ui/no-default-profile", post(act_settings::no_default_profile))
        .route("/ui/profiles/{name}", post(act_settings::save_profile))
        .route("/ui/profiles/{name}/{action}", post(act_settings::act_on_profile))
        .route("/ui/secrets", get(show::show_secrets))
        .route("/ui/privacy", get(show::show_privacy))
        .route("/ui/privacy/reports", post(act_settings::switch_reports))
        .route("/ui/privacy/forget", post(act_settings::forget_reports))
        .route("/ui/privacy/activity", post(act_settings::save_activity_settings))
        .route("/ui/privacy/purge", post(act_settings::purge))
        .route("/ui/health", get(show::show_health))
        .route("/ui/sign-out", post(gate::sign_out))
        .route("/ui/{*rest}", get(show::unknown))
        .with_state(pages.clone())
        .merge(events)
        .route_layer(from_fn_with_state(pages.clone(), gate::check_session));
    let outside = Router::new()
        .route("/ui/open", get(gate::open))
        .route("/ui/sign-in", post(gate::sign_in).get(|| async { Redirect::to("/ui/") }))
        .route("/ui/assets/style.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/ui/assets/page.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/ui/assets/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .route("/ui", get(|| async { Redirect::permanent("/ui/") }))
        .route("/", get(|| async { Redirect::to("/ui/") }))
        .with_state(pages.clone());
    inside
        .merge(outside)
        .route_layer(from_fn_with_state(pages, gate::check_host))
        .route_layer(from_fn(gate::harden))
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
        ],
        content,
    )
        .into_response()
}
