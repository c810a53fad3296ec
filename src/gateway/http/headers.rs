//! Reads headers and URLs of requests.

use axum::http::HeaderMap;
use axum::http::request::Parts;
use rmcp::model::Extensions;

/// Header with the session ID.
pub const SESSION_ID: &str = "mcp-session-id";
/// Header with the protocol version.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// Returns a header's value if it is text.
pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a media type is JSON.
pub fn is_json(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Returns the query of a request's URL.
pub fn query(extensions: &Extensions) -> Option<&str> {
    extensions.get::<Parts>()?.uri.query()
}
