//! The two kinds of JSON responses.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::contract::api::Envelope;
use crate::contract::exact_numbers::restored;
use crate::contract::failure::FailureKind;

/// Returns a success with its data. Numbers have the text that they were read with.
pub fn ok<T: Serialize>(data: T) -> Response {
    match serde_json::to_vec(&Envelope::ok(data)) {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], restored(json)).into_response(),
        Err(error) => failed(FailureKind::Internal, format!("could not write the response: {error}")),
    }
}

/// Returns a failure with a message for the user.
pub fn failed(kind: FailureKind, sentence: impl Into<String>) -> Response {
    (status(kind), Json(Envelope::failed(sentence))).into_response()
}

/// Returns the HTTP status of a failure.
pub fn status(kind: FailureKind) -> StatusCode {
    StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
