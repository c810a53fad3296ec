//! `/api/v1/registries`: lists and searches registries, and adds servers from them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::config::document::EditError;
use crate::config::store::StoreError;
use crate::contract::failure::FailureKind;
use crate::contract::registry::{AddFromRegistry, AddRegistry, ChangedRegistry, Registry};
use crate::registries::{RegistryError, check_source, id_of_url};
use crate::server::rest::response::{failed, ok, status};
use crate::server::rest::servers::origin;
use crate::server::state::App;

/// Number of servers in an answer if the request does not say.
const USUAL_SERVERS: usize = 10;

/// The query of a search.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SearchQuery {
    #[serde(default, alias = "q")]
    search: String,
    /// Searched like a word, because the official protocol has no tags.
    #[serde(default)]
    tag: String,
    limit: Option<usize>,
}

/// The Go core's answer to an addition without a required input.
#[derive(Debug, Serialize)]
struct MissingInputs {
    success: bool,
    error: String,
    code: &'static str,
    missing_inputs: Vec<String>,
}

/// Lists the registries. Contacts none.
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    ok(app.control.registries().list())
}

/// Searches a registry, or `all`.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<SearchQuery>,
) -> Response {
    let words = format!("{} {}", query.search, query.tag);
    match app.control.registries().search(Some(&id), words.trim(), query.limit.unwrap_or(USUAL_SERVERS)).await {
        Ok(found) => ok(found),
        Err(error) => unavailable(&error),
    }
}

/// Returns one server of a registry.
pub(super) async fn show(State(app): State<Arc<App>>, Path((id, server)): Path<(String, String)>) -> Response {
    match app.control.registries().find(Some(&id), &server).await {
        Ok(found) => ok(found.described()),
        Err(error) => unavailable(&error),
    }
}

/// Adds a server from a registry.
pub(super) async fn add_server(
    State(app): State<Arc<App>>,
    Path((id, server)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Json<AddFromRegistry>, JsonRejection>,
) -> Response {
    let wanted = match body {
        Ok(Json(wanted)) => wanted,
        Err(JsonRejection::MissingJsonContentType(_)) => AddFromRegistry::default(),
        Err(_) => return failed(FailureKind::Invalid, "expected a JSON object with `env`, `headers` and `args`"),
    };
    let found = match app.control.registries().find(Some(&id), &server).await {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    match app.control.add_found(&found, &wanted, &origin(&headers)).await {
        Ok(added) => ok(added),
        Err(error) => match error.missing() {
            Some(inputs) => {
                let body = MissingInputs {
                    success: false,
                    error: error.to_string(),
                    code: "missing_required_input",
                    missing_inputs: inputs.iter().map(|input| input.name.clone()).collect(),
                };
                (status(FailureKind::Invalid), Json(body)).into_response()
            }
            None => failed(error.kind(), error.to_string()),
        },
    }
}

/// Adds a registry.
pub(super) async fn add(State(app): State<Arc<App>>, body: Result<Json<AddRegistry>, JsonRejection>) -> Response {
    let Ok(Json(wanted)) = body else {
        return failed(FailureKind::Invalid, "expected a JSON object with the registry's `url`");
    };
    let id = wanted.id.unwrap_or_else(|| id_of_url(&wanted.url));
    let entry = match check_source(&id, wanted.name.as_deref(), &wanted.url) {
        Ok(entry) => entry,
        Err(sentence) => return failed(FailureKind::Invalid, sentence),
    };
    match app.control.add_registry(&id, entry).await {
        Ok(()) => changed(&app, &id),
        Err(StoreError::Edit(EditError::Exists(_))) => {
            failed(FailureKind::Conflict, format!("a registry named `{id}` already exists"))
        }
        Err(error) => failed(error.kind(), error.to_string()),
    }
}

/// Removes a registry.
pub(super) async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let before = registry(&app, &id);
    match app.control.remove_registry(&id).await {
        Ok(()) => ok(ChangedRegistry {
            registry: before.unwrap_or_default(),
        }),
        Err(StoreError::Edit(EditError::Unknown(_))) => unavailable(&RegistryError::Unknown(id)),
        Err(error) => failed(error.kind(), error.to_string()),
    }
}

fn changed(app: &App, id: &str) -> Response {
    ok(ChangedRegistry {
        registry: registry(app, id).unwrap_or_default(),
    })
}

fn registry(app: &App, id: &str) -> Option<Registry> {
    app.control.registries().list().registries.into_iter().find(|registry| registry.id.eq_ignore_ascii_case(id))
}

fn unavailable(error: &RegistryError) -> Response {
    failed(error.kind(), error.to_string())
}
