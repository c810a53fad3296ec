//! Reading a request's headers and URL.

use axum::http::HeaderMap;
use axum::http::request::Parts;
use rmcp::model::Extensions;

/// Header with the session's id.
pub const SESSION_ID: &str = "mcp-session-id";
/// Header with the protocol version of a request.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// A header's value, if it is text.
pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a media type denotes JSON.
pub fn is_json(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The query of the URL of a request's HTTP request.
pub fn query(extensions: &Extensions) -> Option<&str> {
    extensions.get::<Parts>()?.uri.query()
}
