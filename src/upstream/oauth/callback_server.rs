//! The page on this computer that the browser returns to at the end of one sign-in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use reqwest::Url;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::diagnostics::fault::{Failure, Fault};
use crate::os::sync::lock;
use crate::upstream::oauth::error_text::brief;

/// How long the browser may take to load the last page.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A listener for one redirect, on loopback only.
pub struct Redirect {
    listener: TcpListener,
    uri: Url,
}

/// The parameters of the redirect.
pub struct Callback {
    pub code: String,
    /// The issuer (RFC 9207).
    pub issuer: Option<String>,
}

/// The parameters of a redirect, and the sender of the outcome for the page.
type Arrival = (Result<Callback, Failure>, oneshot::Sender<Result<(), Failure>>);

struct Expected {
    path: String,
    state: String,
    server: String,
    /// Taken by the first redirect with the right state.
    arrival: Mutex<Option<oneshot::Sender<Arrival>>>,
}

impl Redirect {
    /// Listens on a free port, or on that of `wanted`: a client registered by hand has a fixed URL.
    ///
    /// # Errors
    /// Why it cannot listen.
    pub async fn listen(wanted: Option<&str>) -> Result<Redirect, String> {
        let mut uri = own_url(wanted.unwrap_or("http://127.0.0.1/callback"))?;
        let failed = |error| format!("could not listen for the browser's return: {error}");
        let listener = TcpListener::bind(("127.0.0.1", uri.port().unwrap_or(0))).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let _ = uri.set_port(Some(port));
        Ok(Redirect { listener, uri })
    }

    /// The redirect URL for the authorization server.
    pub fn uri(&self) -> &str {
        self.uri.as_str()
    }

    /// Waits for the browser with this state; shows it the outcome of `finish`.
    ///
    /// # Errors
    /// It did not come in time, the user or the server refused, or `finish` failed.
    pub async fn wait(
        self,
        limit: Duration,
        server: &str,
        state: &str,
        finish: impl AsyncFnOnce(Callback) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (sender, arrival) = oneshot::channel();
        let expected = Arc::new(Expected {
            path: self.uri.path().to_owned(),
            state: state.to_owned(),
            server: server.to_owned(),
            arrival: Mutex::new(Some(sender)),
        });
        let close = CancellationToken::new();
        // Stops listening when the caller stops waiting.
        let _closed = close.clone().drop_guard();
        let pages = axum::Router::new().fallback(answer).with_state(expected);
        let closing = close.clone();
        let served = axum::serve(self.listener, pages).with_graceful_shutdown(async move { closing.cancelled().await });
        let served = tokio::spawn(served.into_future());
        let (redirect, page) = match tokio::time::timeout(limit, arrival).await {
            Ok(Ok(arrival)) => arrival,
            _ => {
                let text = format!("no sign-in within {} minutes", limit.as_secs() / 60);
                return Err(Failure::new(Fault::CallbackTimeout, text));
            }
        };
        let outcome = match redirect {
            Ok(callback) => finish(callback).await,
            Err(refused) => Err(refused),
        };
        let _ = page.send(outcome.clone());
        close.cancel();
        let _ = tokio::time::timeout(LAST_PAGE, served).await;
        outcome
    }
}

/// A URL of this computer, over HTTP.
fn own_url(address: &str) -> Result<Url, String> {
    let own = |url: &Url| url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    let url = Url::parse(address).ok().filter(own);
    url.ok_or_else(|| {
        format!("`redirect_uri` is `{address}`: expected `http://127.0.0.1:PORT/…`, a port of this computer")
    })
}

async fn answer(
    State(expected): State<Arc<Expected>>,
    uri: Uri,
    Query(mut query): Query<HashMap<String, String>>,
) -> Response {
    if uri.path() != expected.path {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let state = query.remove("state").unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(expected.state.as_bytes())) {
        tracing::warn!(server = expected.server, "refused a redirect that belongs to no sign-in");
        let sentence = "This page does not belong to the pending sign-in. Start the sign-in again in MCPProxy.";
        return page(StatusCode::BAD_REQUEST, sentence);
    }
    let Some(arrival) = lock(&expected.arrival).take() else {
        return page(StatusCode::GONE, "This sign-in is over. You can close this page.");
    };
    let (shown, outcome) = oneshot::channel();
    let _ = arrival.send((callback(query), shown));
    let outcome = outcome.await.unwrap_or_else(|_| Err("MCPProxy is stopping".into()));
    match outcome {
        Ok(()) => {
            let sentence = format!("You are signed in to {}. You can close this page.", expected.server);
            page(StatusCode::OK, &sentence)
        }
        Err(why) => page(StatusCode::BAD_REQUEST, &format!("Sign-in to {} failed: {why}.", expected.server)),
    }
}

fn callback(mut query: HashMap<String, String>) -> Result<Callback, Failure> {
    if let Some(error) = query.remove("error") {
        let more = query.remove("error_description").map(|more| format!(": {more}")).unwrap_or_default();
        let text = match error.as_str() {
            "access_denied" => format!("access was denied{}", brief(&more)),
            _ => brief(&format!("the authorization server refused ({error}{more})")),
        };
        return Err(Failure::new(Fault::SignInFailed, text));
    }
    let code = query
        .remove("code")
        .ok_or_else(|| Failure::new(Fault::SignInFailed, "the authorization server sent no code"))?;
    Ok(Callback {
        code,
        issuer: query.remove("iss"),
    })
}

fn page(status: StatusCode, sentence: &str) -> Response {
    let text = sentence.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>MCPProxy</title>\
         <body style=\"font:1.2em system-ui,sans-serif;max-width:32em;margin:4em auto;padding:0 1em\"><p>{text}</p></body></html>"
    );
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        // The URL of this page contains the code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    (status, headers, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_refusal_is_explained() {
        let refused = |pairs| callback(query(pairs)).err().map(|failure| failure.text).unwrap_or_default();
        assert_eq!(refused(&[("error", "access_denied")]), "access was denied");
        assert_eq!(
            refused(&[("error", "server_error"), ("error_description", "down\nagain")]),
            "the authorization server refused (server_error: down again)"
        );
        assert_eq!(refused(&[("iss", "x")]), "the authorization server sent no code");
        let found = callback(query(&[("code", "c"), ("iss", "https://a")])).ok();
        assert_eq!(found.map(|found| (found.code, found.issuer)), Some(("c".into(), Some("https://a".into()))));
    }

    #[tokio::test]
    async fn only_urls_of_this_computer_are_accepted() {
        let redirect = Redirect::listen(None).await.unwrap();
        assert!(redirect.uri().starts_with("http://127.0.0.1:") && redirect.uri().ends_with("/callback"));
        for address in [
            "https://127.0.0.1/",
            "http://192.0.2.1:80/",
            "http://0.0.0.0/",
            "file:///x",
            "x",
        ] {
            assert!(Redirect::listen(Some(address)).await.is_err(), "{address}");
        }
        let own = Redirect::listen(Some("http://localhost/cb")).await.unwrap();
        assert!(own.uri().starts_with("http://localhost:") && own.uri().ends_with("/cb"));
    }

    #[tokio::test]
    async fn waiting_ends_after_the_limit() {
        let redirect = Redirect::listen(None).await.unwrap();
        let address = redirect.listener.local_addr().unwrap();
        let outcome = redirect.wait(Duration::from_millis(1), "a", "state", async |_| Ok(())).await;
        assert!(outcome.unwrap_err().text.starts_with("no sign-in within"));
        let closed = async {
            while tokio::net::TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
    }
}
