//! The two kinds of JSON responses.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::contract::api::Envelope;

/// Returns a success with its data.
pub fn ok<T: Serialize>(data: T) -> Response {
    Json(Envelope::ok(data)).into_response()
}

/// Returns a failure with a message for the user.
pub fn failed(status: StatusCode, sentence: impl Into<String>) -> Response {
    (status, Json(Envelope::failed(sentence))).into_response()
}
