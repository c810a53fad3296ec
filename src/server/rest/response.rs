//! The two kinds of JSON responses.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::contract::api::Envelope;

/// A success with its data.
pub fn ok<T: Serialize>(data: T) -> Response {
    Json(Envelope::ok(data)).into_response()
}

/// A failure with a sentence for a person.
pub fn failed(status: StatusCode, sentence: impl Into<String>) -> Response {
    (status, Json(Envelope::failed(sentence))).into_response()
}
