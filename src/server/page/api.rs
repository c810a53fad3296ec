//! Calls the REST routes in the same process, so that the web UI shows the same values as the tray and the command
//! line.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_service::Service as _;

use crate::contract::names;
use crate::server::rest::access::InProcess;

/// Maximum size of a response; real ones are much smaller.
const LONGEST_ANSWER: usize = 64 << 20;

/// The REST routes of this core.
#[derive(Debug, Clone)]
pub(super) struct Api {
    routes: Router,
}

/// An error response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    pub status: u16,
    /// A message for the user.
    pub message: String,
    pub data: Value,
}

impl ApiError {
    pub(super) fn new(status: u16, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            message: message.into(),
            data: Value::Null,
        }
    }

    fn other(message: impl ToString) -> ApiError {
        ApiError::new(500, message.to_string())
    }
}

impl Api {
    pub(super) fn new(routes: Router) -> Api {
        Api { routes }
    }

    /// Returns the data of a GET.
    ///
    /// # Errors
    /// [`ApiError`]
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.send(Method::GET, path, None).await
    }

    /// Returns the data of a POST.
    ///
    /// # Errors
    /// [`ApiError`]
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: Option<Value>) -> Result<T, ApiError> {
        self.send(Method::POST, path, body).await
    }

    /// Returns the complete response of a GET.
    pub(super) async fn pass(&self, path: &str) -> Response {
        match Request::builder().uri(path).extension(InProcess).body(Body::empty()) {
            Ok(request) => match self.routes.clone().call(request).await {
                Ok(response) => response,
                Err(impossible) => match impossible {},
            },
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
    }

    /// Returns the data of any request.
    ///
    /// # Errors
    /// [`ApiError`]
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ApiError> {
        let content = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(names::HEADER_CLIENT, concat!("webui/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/json")
            .extension(InProcess)
            .body(Body::from(content))
            .map_err(ApiError::other)?;
        let response = self.routes.clone().call(request).await.map_err(ApiError::other)?;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), LONGEST_ANSWER).await.map_err(ApiError::other)?;
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(ApiError::other)?;
        let data = answer.get_mut("data").map(Value::take).unwrap_or_default();
        if status.is_success() {
            return serde_json::from_value(data).map_err(ApiError::other);
        }
        let sentence = ["error", "message"].iter().find_map(|key| answer.get(*key).and_then(Value::as_str));
        Err(ApiError {
            status: status.as_u16(),
            message: sentence.map_or_else(|| describe(status), str::to_owned),
            data,
        })
    }
}

fn describe(status: StatusCode) -> String {
    format!("MCPProxy could not answer ({status})")
}

/// Returns the error about a server that does not exist.
pub(super) fn unknown_server(name: &str) -> ApiError {
    ApiError::new(404, format!("There is no server named `{name}`. It may have been removed."))
}
