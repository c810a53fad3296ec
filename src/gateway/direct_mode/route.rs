//! Which server a URL below `/mcp/all` names.

use crate::contract::names;

/// The one server that a request's URL names.
pub fn only(extensions: &rmcp::model::Extensions) -> Option<String> {
    only_server(&extensions.get::<axum::http::request::Parts>()?.uri)
}

/// The one server that a URL names.
pub fn only_server(url: &axum::http::Uri) -> Option<String> {
    let one = url.path().strip_prefix(names::MCP_ALL_PATH)?.strip_prefix('/')?.trim_end_matches('/');
    let one = percent_encoding::percent_decode_str(one).decode_utf8_lossy();
    (!one.is_empty()).then(|| one.into_owned())
}
