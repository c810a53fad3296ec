//! Explains unknown paths below `/mcp` with a 404. Clients would interpret 401 as a request to sign in.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::contract::api::{Envelope, UnknownProfile};
use crate::gateway::profile::of_url;
use crate::gateway::tool_calls::Proxy;

/// Returns 404 if the path names a profile that does not exist.
pub fn unknown_profile(proxy: &Proxy, uri: &Uri) -> Option<Response> {
    let name = of_url(uri).filter(|name| !proxy.has_profile(name))?;
    let known = proxy.profiles();
    let sentence = match known.as_slice() {
        [] => format!("unknown profile `{name}`: no profiles are configured"),
        known => format!("unknown profile `{name}`; there are: {}", known.join(", ")),
    };
    let body = UnknownProfile {
        success: false,
        error: sentence,
        available: known,
    };
    Some((StatusCode::NOT_FOUND, Json(body)).into_response())
}

/// Returns 404 for all other paths.
pub async fn unknown_path(uri: Uri) -> Response {
    let sentence = format!(
        "`{}` is not an MCP endpoint; there are: /mcp, /mcp/call, /mcp/all, /mcp/all/SERVER, /mcp/p/PROFILE, \
         /mcp/p/PROFILE/all",
        uri.path()
    );
    (StatusCode::NOT_FOUND, Json(Envelope::failed(sentence))).into_response()
}
