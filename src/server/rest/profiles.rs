//! `/api/v1/profiles`: lists, adds, changes and removes profiles, and sets the default profile.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::config::store::StoreError;
use crate::config::{profiles, serving};
use crate::contract::api::{
    ActiveProfile, Profile, ProfileChoice, ProfileList, ProfileServers, Routing, RoutingEndpoints, RoutingMode,
};
use crate::contract::failure::FailureKind;
use crate::contract::names;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    let config = app.config.current();
    let servers = app.upstreams.snapshots();
    let profile = |profile: &profiles::ProfileConfig| {
        let known = servers.iter().filter(|server| profile.servers.contains(&server.config.name));
        let (names, counts): (Vec<String>, Vec<usize>) =
            known.map(|server| (server.config.name.clone(), server.tools().len())).unzip();
        Profile {
            name: profile.name.clone(),
            servers: names,
            tool_count: u32::try_from(counts.iter().sum::<usize>()).unwrap_or(u32::MAX),
        }
    };
    ok(ProfileList {
        profiles: config.profiles.iter().map(profile).collect(),
    })
}

/// Adds a profile, or replaces its servers.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Result<Json<ProfileServers>, JsonRejection>,
) -> Response {
    let Ok(Json(ProfileServers { servers: names })) = body else {
        return failed(FailureKind::Invalid, "expected `{\"servers\": [\"NAME\", …]}`");
    };
    if let Err(problem) = profiles::check_name(&name) {
        return failed(FailureKind::Invalid, problem);
    }
    let unknown = {
        let config = app.config.current();
        names.iter().find(|name| !config.servers.iter().any(|server| server.name == **name)).cloned()
    };
    if let Some(unknown) = unknown {
        return failed(FailureKind::NotFound, format!("no server is named `{unknown}`"));
    }
    match app.config.edit(move |document| document.set_profile(&name, &names)).await {
        Ok(()) => list(State(app)).await,
        Err(error) => refused(&error),
    }
}

pub(super) async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    if !app.proxy.has_profile(&name) {
        return unknown_profile(&name);
    }
    match app.config.edit(move |document| document.remove_profile(&name)).await {
        Ok(()) => list(State(app)).await,
        Err(error) => refused(&error),
    }
}

pub(super) async fn active(State(app): State<Arc<App>>) -> Response {
    let active_profile = app.config.current().active_profile.clone().unwrap_or_default();
    ok(ActiveProfile { active_profile })
}

/// Sets the profile of sessions that did not choose one. An empty name removes the limit.
pub(super) async fn set_active(
    State(app): State<Arc<App>>,
    body: Result<Json<ProfileChoice>, JsonRejection>,
) -> Response {
    let Ok(Json(ProfileChoice { profile })) = body else {
        return failed(FailureKind::Invalid, "expected `{\"profile\": \"NAME\"}`");
    };
    let name = profile.trim().to_owned();
    if !name.is_empty() && !app.proxy.has_profile(&name) {
        return unknown_profile(&name);
    }
    match app.config.edit(move |document| document.merge_active_profile(&name)).await {
        Ok(()) => active(State(app)).await,
        Err(error) => refused(&error),
    }
}

fn unknown_profile(name: &str) -> Response {
    failed(FailureKind::NotFound, format!("unknown profile `{name}`"))
}

fn refused(error: &StoreError) -> Response {
    failed(error.kind(), error.to_string())
}

/// Returns the tools that each endpoint offers, in the Go core's format.
pub(super) async fn routing(State(app): State<Arc<App>>) -> Response {
    let mode = app.config.at_start().routing_mode;
    let description = mode.warning().unwrap_or(match mode {
        serving::RoutingMode::Direct => "lists the tools of every server",
        _ => "lists a search tool, and tools that call the search results",
    });
    ok(Routing {
        routing_mode: mode.word().into(),
        description: description.to_owned(),
        endpoints: RoutingEndpoints {
            default: names::MCP_PATH.to_owned(),
            direct: names::MCP_ALL_PATH.to_owned(),
            retrieve_tools: names::MCP_CALL_PATH.to_owned(),
            code_execution: names::MCP_CODE_PATH.to_owned(),
        },
        available_modes: vec![RoutingMode::RetrieveTools, RoutingMode::Direct],
    })
}
