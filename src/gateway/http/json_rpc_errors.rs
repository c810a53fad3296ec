//! Responds to invalid bodies with JSON-RPC errors, where the library would send a line of plain text.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::gateway::http::headers::is_json;
use crate::gateway::http::invalid_request::{Refusal, misplaced_arguments};

/// Maximum size of a request, in bytes; the library's limit.
const LONGEST: usize = 4 << 20;

/// Passes the request on. If the library refuses its body, explains why.
pub async fn explain(request: Request, next: Next) -> Response {
    let json = request.headers().get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).is_some_and(is_json);
    if request.method() != Method::POST || !json {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, LONGEST).await {
        Ok(body) => body,
        Err(error)
            if std::error::Error::source(&error).is_some_and(|why| why.is::<http_body_util::LengthLimitError>()) =>
        {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, Refusal::too_long(LONGEST));
        }
        Err(error) => return refuse(StatusCode::BAD_REQUEST, Refusal::incomplete(&error.to_string())),
    };
    if let Some(refusal) = misplaced_arguments(&body) {
        return Json(refusal).into_response();
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    // The content type is correct, so the error is in the body.
    if answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return refuse(StatusCode::BAD_REQUEST, Refusal::of(&body));
    }
    answer
}

fn refuse(status: StatusCode, refusal: Refusal) -> Response {
    (status, Json(refusal)).into_response()
}
