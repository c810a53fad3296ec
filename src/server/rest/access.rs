//! Access control: the local listener has already checked the peer's user; over TCP the API key is required.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use crate::contract::failure::FailureKind;
use crate::contract::names;
use crate::control::actor::acting;
use crate::server::rest::response::failed;
use crate::server::rest::servers::origin;
use crate::server::state::App;

/// The listener through which a request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The local socket or pipe.
    Local,
    Tcp,
}

/// Marks a request of the web UI, which runs in the same process. Passed in the extensions of the request.
#[derive(Debug, Clone, Copy)]
pub struct InProcess;

/// Lets an authorised request pass; answers 401 to others.
pub async fn check(State((app, listener)): State<(Arc<App>, Listener)>, request: Request, next: Next) -> Response {
    let client = request.headers().get(names::HEADER_CLIENT).and_then(|value| value.to_str().ok());
    // The web UI counts its pages, each of which asks REST several times.
    if request.extensions().get::<InProcess>().is_none() {
        app.facts.counts().add_rest_request(client);
    }
    if listener == Listener::Local || shows_key(request.headers(), &app.api_key) {
        let actor = origin(request.headers()).to_string();
        return acting(actor, next.run(request)).await;
    }
    let sentence =
        format!("Invalid or missing API key: send the configuration's `api_key` as header `{}`", names::HEADER_API_KEY);
    failed(FailureKind::Unauthenticated, sentence)
}

/// Whether the headers contain the API key. Compares in constant time. Does not accept a key in the URL, because URLs
/// end up in logs and histories.
pub fn shows_key(headers: &HeaderMap, key: &str) -> bool {
    let own = headers.get(names::HEADER_API_KEY).map(|value| value.as_bytes());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
    });
    let shown = own.or(bearer).unwrap_or_default();
    !key.is_empty() && bool::from(shown.ct_eq(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_key_passes_in_either_header_and_nothing_else_does() {
        assert!(shows_key(&headers("x-api-key", "secret"), "secret"));
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert!(shows_key(&headers("authorization", &format!("{scheme} secret")), "secret"));
        }
        assert!(!shows_key(&headers("authorization", "Basic secret"), "secret"));
        assert!(!shows_key(&headers("x-api-key", "secre"), "secret"));
        assert!(!shows_key(&HeaderMap::new(), "secret"));
    }

    #[test]
    fn an_empty_key_grants_no_access() {
        assert!(!shows_key(&headers("x-api-key", ""), ""));
        assert!(!shows_key(&HeaderMap::new(), ""));
    }
}
