//! Compatibility with clients that follow HTTP where the library is stricter.

use axum::extract::Request;
use axum::http::header::{ACCEPT, ALLOW};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Both media types, as the library expects them.
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// The methods of an MCP endpoint.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");

/// Replaces a wildcard in `Accept`, and adds the header if it is missing, because the library requires both media types.
pub fn widen_accept(headers: &mut HeaderMap) {
    if accepts_anything(headers) {
        headers.insert(ACCEPT, BOTH);
    }
}

/// Passes the request on, and sends the status codes and headers that HTTP clients expect.
pub async fn with_http_status(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let mut response = next.run(request).await;
    match response.status() {
        // Clients consider 202 a failure to end the session, and older ones 204, too.
        StatusCode::ACCEPTED | StatusCode::NO_CONTENT if method == Method::DELETE => StatusCode::OK.into_response(),
        StatusCode::METHOD_NOT_ALLOWED => {
            response.headers_mut().entry(ALLOW).or_insert(METHODS);
            response
        }
        _ => response,
    }
}

/// Whether a request accepts every media type: `*/*`, or no `Accept` header.
fn accepts_anything(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if given.peek().is_none() {
        return true;
    }
    let is_any = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        parts.next() == Some("*/*") && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    };
    given.flat_map(|value| value.split(',')).any(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_media_type_includes_both_of_mcp() {
        for (accept, expected) in [
            (Some("*/*"), true),
            (Some("text/html, */*;q=0.8"), true),
            (Some("application/json, */*"), true),
            (Some("*/*;q=0"), false),
            (Some("application/json"), false),
            (Some("text/html"), false),
            (None, true),
        ] {
            let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept)));
            assert_eq!(accepts_anything(&HeaderMap::from_iter(headers)), expected, "{accept:?}");
        }
    }
}
