//! Handles the requests of the page that finds servers in registries.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::contract::registry::{AddedFromRegistry, RegistryServer, RegistryServers};
use crate::server::page::access::Visitor;
use crate::server::page::api::ApiError;
use crate::server::page::find::{self, Entered, Search};
use crate::server::page::form::Fields;
use crate::server::page::gate::Submitted;
use crate::server::page::layout::encoded;
use crate::server::page::pages::Pages;

type Core = State<Arc<Pages>>;
type Who = Extension<Visitor>;

/// Searches, if the query has words.
pub(super) async fn search(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let words = Fields::parse(request.uri().query().unwrap_or_default()).text("q").to_owned();
    let found: Option<Result<RegistryServers, ApiError>> = if words.is_empty() {
        None
    } else {
        let path = format!("/api/v1/registries/all/servers?limit=50&search={}", encoded(&words));
        Some(pages.api.get(&path).await)
    };
    let search = Search {
        registries: pages.api.get("/api/v1/registries").await.unwrap_or_default(),
        found: found.map(|found| found.map_err(|error| error.message)),
        words,
    };
    find::view(&pages.frame(&visitor).await, &search).into_response()
}

pub(super) async fn show(
    State(pages): Core,
    Extension(visitor): Who,
    Path((registry, server)): Path<(String, String)>,
) -> Response {
    match record(&pages, &registry, &server).await {
        Ok(server) => find::details(&pages.frame(&visitor).await, &server, &Entered::default()).into_response(),
        Err(error) => pages.failed(&visitor, &error).await,
    }
}

async fn record(pages: &Pages, registry: &str, server: &str) -> Result<RegistryServer, ApiError> {
    pages.api.get(&format!("/api/v1/registries/{}/servers/{}", encoded(registry), encoded(server))).await
}

/// Adds the server, and shows its review.
pub(super) async fn add(
    State(pages): Core,
    Extension(visitor): Who,
    Path((registry, server)): Path<(String, String)>,
    Extension(Submitted(fields)): Extension<Submitted>,
) -> Response {
    let path = format!("/api/v1/registries/{}/servers/{}/add", encoded(&registry), encoded(&server));
    let added: Result<AddedFromRegistry, ApiError> = pages.api.post(&path, Some(find::wanted(&fields))).await;
    match added {
        Ok(added) => Redirect::to(&format!("/ui/review/{}", encoded(&added.server.name))).into_response(),
        Err(error) => match record(&pages, &registry, &server).await {
            Ok(server) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
                let entered = find::entered(&server, &fields, error.message);
                (status, find::details(&pages.frame(&visitor).await, &server, &entered)).into_response()
            }
            Err(error) => pages.failed(&visitor, &error).await,
        },
    }
}
