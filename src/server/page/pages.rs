//! The state that every handler of the web UI shares.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::Value;

use crate::contract::api::{Diagnostics, Server};
use crate::contract::endpoint::client_host;
use crate::contract::exact_numbers::released;
use crate::contract::names;
use crate::server::page::access::{Notice, Visitor};
use crate::server::page::api::{Api, ApiError};
use crate::server::page::layout::{Frame, page};
use crate::server::page::review::waits_for_decision;
use crate::server::rest::diagnostics;
use crate::server::state::App;

/// The web UI of a running core.
pub(super) struct Pages {
    pub app: Arc<App>,
    pub api: Api,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Name of the session cookie. Contains the port, because browsers share cookies between ports.
    pub cookie: String,
    /// Allowed host names besides those of this computer; `None` if they are not checked.
    pub hosts: Option<Vec<String>>,
}

/// The configuration without servers and secrets.
#[derive(Debug, Default)]
pub(super) struct ShownSettings {
    pub config: Value,
    /// The path of the file.
    pub path: String,
}

impl Pages {
    /// Returns the settings. They do not pass through REST, because with a thousand servers the whole configuration takes
    /// too long for a page.
    ///
    /// # Errors
    /// The file could not be read.
    pub(super) async fn settings(&self) -> Result<ShownSettings, ApiError> {
        let store = self.app.config.store().clone();
        let path = store.path().display().to_string();
        let failed = |error: String| ApiError::new(500, error);
        let read = tokio::task::spawn_blocking(move || store.masked_settings().map(|config| released(&config)));
        let config = read.await.map_err(|error| failed(error.to_string()))?;
        Ok(ShownSettings {
            config: config.map_err(|error| failed(error.to_string()))?,
            path,
        })
    }

    /// Returns the servers in the REST format.
    pub(super) fn servers(&self) -> Vec<Server> {
        self.app.servers().servers
    }

    /// Returns the frame of a page for a visitor.
    pub(super) async fn frame(&self, visitor: &Visitor) -> Frame {
        self.frame_with(visitor, &diagnostics::found(&self.app).await)
    }

    /// Returns the frame of a page for a visitor, with these problems.
    pub(super) fn frame_with(&self, visitor: &Visitor, found: &Diagnostics) -> Frame {
        Frame {
            form_token: visitor.form_token.clone(),
            notice: (!visitor.refreshes).then(|| self.app.access.take_notice(&visitor.session)).flatten(),
            to_review: self.app.upstreams.snapshots().iter().filter(|server| waits_for_decision(server)).count(),
            problems: usize::try_from(found.total_issues).unwrap_or_default(),
            in_setup: self.app.access.setup(&visitor.session).is_some(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Returns the URL of the MCP endpoint.
    pub(super) fn mcp_url(&self) -> String {
        format!("{}://{}{}", self.scheme, client_host(&self.app.listen_addr), names::MCP_PATH)
    }

    /// Redirects to `target` and shows a message there.
    pub(super) fn then(&self, visitor: &Visitor, outcome: Result<String, ApiError>, target: &str) -> Response {
        let (is_error, text) = match outcome {
            Ok(text) => (false, text),
            Err(error) => (true, error.message),
        };
        self.app.access.leave(&visitor.session, Notice { is_error, text });
        Redirect::to(target).into_response()
    }

    /// Redirects to `target`, and shows there that an action succeeded, or why it failed.
    pub(super) fn finish(
        &self,
        visitor: &Visitor,
        outcome: Result<Value, ApiError>,
        success: impl Into<String>,
        target: &str,
    ) -> Response {
        self.then(visitor, outcome.map(|_| success.into()), target)
    }

    /// Renders a page about something that does not exist or has failed.
    pub(super) async fn failed(&self, visitor: &Visitor, error: &ApiError) -> Response {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = if status == StatusCode::NOT_FOUND { "Not found" } else { "Something went wrong" };
        let contents: Markup = html! {
            div.empty { h1 { (title) } p { (error.message) } div.actions { a.button.primary href="/ui/" { "Home" } } }
        };
        (status, page(&self.frame(visitor).await, "", title, &contents)).into_response()
    }
}
