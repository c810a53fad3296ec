//! Extracts the server from a URL below `/mcp/all`.

use crate::contract::names;

/// Returns the server named in a request's URL, if any.
pub fn only(extensions: &rmcp::model::Extensions) -> Option<String> {
    only_server(&extensions.get::<axum::http::request::Parts>()?.uri)
}

/// Returns the server named in a URL, if any.
pub fn only_server(url: &axum::http::Uri) -> Option<String> {
    let one = url.path().strip_prefix(names::MCP_ALL_PATH)?.strip_prefix('/')?.trim_end_matches('/');
    let one = percent_encoding::percent_decode_str(one).decode_utf8_lossy();
    (!one.is_empty()).then(|| one.into_owned())
}
