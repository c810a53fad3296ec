//! Where a person's browser comes back to: one page on this computer, for one sign-in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use reqwest::Url;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long the browser may take to read the page that ends it.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A listener for one redirect, on loopback only.
pub struct Redirect {
    listener: TcpListener,
    uri: Url,
}

/// What the sign-in page sent with the browser.
pub struct Callback {
    pub code: String,
    /// Who says so (RFC 9207).
    pub issuer: Option<String>,
}

/// A redirect on its way to whoever waits for it, and the way back for the page to show.
type Arrival = (Result<Callback, String>, oneshot::Sender<Result<(), String>>);

struct Expected {
    path: String,
    state: String,
    server: String,
    /// Taken by the first redirect with the right state.
    arrival: Mutex<Option<oneshot::Sender<Arrival>>>,
}

impl Redirect {
    /// Listens on a port of the system's choice, or where `wanted` says: a client registered by hand has its own address.
    ///
    /// # Errors
    /// A sentence.
    pub async fn listen(wanted: Option<&str>) -> Result<Redirect, String> {
        let mut uri = own_address(wanted.unwrap_or("http://127.0.0.1/callback"))?;
        let failed = |error| format!("no port of this computer can be listened on for the browser's return: {error}");
        let listener = TcpListener::bind(("127.0.0.1", uri.port().unwrap_or(0))).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let _ = uri.set_port(Some(port));
        Ok(Redirect { listener, uri })
    }

    /// The address to give to the authorization server.
    pub fn uri(&self) -> &str {
        self.uri.as_str()
    }

    /// Waits for the browser with this state; `finish` decides what it is told.
    ///
    /// # Errors
    /// A sentence: it did not come in time, the person or the server refused, or `finish` failed.
    pub async fn wait(
        self,
        limit: Duration,
        server: &str,
        state: &str,
        finish: impl AsyncFnOnce(Callback) -> Result<(), String>,
    ) -> Result<(), String> {
        let (sender, arrival) = oneshot::channel();
        let expected = Arc::new(Expected {
            path: self.uri.path().to_owned(),
            state: state.to_owned(),
            server: server.to_owned(),
            arrival: Mutex::new(Some(sender)),
        });
        let close = CancellationToken::new();
        // Whoever stops waiting stops listening, too.
        let _closed = close.clone().drop_guard();
        let pages = axum::Router::new().fallback(answer).with_state(expected);
        let closing = close.clone();
        let served = axum::serve(self.listener, pages).with_graceful_shutdown(async move { closing.cancelled().await });
        let served = tokio::spawn(served.into_future());
        let (redirect, page) = match tokio::time::timeout(limit, arrival).await {
            Ok(Ok(arrival)) => arrival,
            _ => return Err(format!("nobody signed in within {} minutes", limit.as_secs() / 60)),
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

/// An address that leads to this computer, over HTTP.
fn own_address(address: &str) -> Result<Url, String> {
    let own = |url: &Url| url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    let url = Url::parse(address).ok().filter(own);
    url.ok_or_else(|| {
        format!("`redirect_uri` is `{address}`: expected `http://127.0.0.1:PORT/…`, a port of this computer")
    })
}

async fn answer(
    State(expected): State<Arc<Expected>>,
    uri: Uri,
    Query(mut said): Query<HashMap<String, String>>,
) -> Response {
    if uri.path() != expected.path {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let state = said.remove("state").unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(expected.state.as_bytes())) {
        tracing::warn!(server = expected.server, "a redirect that belongs to no sign-in was turned away");
        let sentence = "This does not belong to the sign-in that MCPProxy waits for. Start it again in MCPProxy.";
        return page(StatusCode::BAD_REQUEST, sentence);
    }
    let Some(arrival) = expected.arrival.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return page(StatusCode::GONE, "This sign-in is over. You can close this page.");
    };
    let (shown, outcome) = oneshot::channel();
    let _ = arrival.send((callback(said), shown));
    let outcome = outcome.await.unwrap_or_else(|_| Err("the core is stopping".to_owned()));
    match outcome {
        Ok(()) => {
            let sentence = format!("You are signed in to {}. You can close this page.", expected.server);
            page(StatusCode::OK, &sentence)
        }
        Err(why) => page(StatusCode::BAD_REQUEST, &format!("You are not signed in to {}: {why}.", expected.server)),
    }
}

fn callback(mut said: HashMap<String, String>) -> Result<Callback, String> {
    if let Some(error) = said.remove("error") {
        let more = said.remove("error_description").map(|more| format!(": {more}")).unwrap_or_default();
        return Err(match error.as_str() {
            "access_denied" => format!("access was denied{}", crate::upstream::oauth::error_text::brief(&more)),
            _ => {
                crate::upstream::oauth::error_text::brief(&format!("the authorization server refused ({error}{more})"))
            }
        });
    }
    let code = said.remove("code").ok_or("the authorization server sent no code")?;
    Ok(Callback {
        code,
        issuer: said.remove("iss"),
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
        // The address of this page has the code in it.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    (status, headers, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_refusal_is_told_in_words() {
        let refused = |pairs| callback(said(pairs)).err().unwrap_or_default();
        assert_eq!(refused(&[("error", "access_denied")]), "access was denied");
        assert_eq!(
            refused(&[("error", "server_error"), ("error_description", "down\nagain")]),
            "the authorization server refused (server_error: down again)"
        );
        assert_eq!(refused(&[("iss", "x")]), "the authorization server sent no code");
        let found = callback(said(&[("code", "c"), ("iss", "https://a")])).ok();
        assert_eq!(found.map(|found| (found.code, found.issuer)), Some(("c".into(), Some("https://a".into()))));
    }

    #[tokio::test]
    async fn only_this_computer_is_returned_to() {
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
    async fn nobody_is_waited_for_without_end() {
        let redirect = Redirect::listen(None).await.unwrap();
        let address = redirect.listener.local_addr().unwrap();
        let outcome = redirect.wait(Duration::from_millis(1), "a", "state", async |_| Ok(())).await;
        assert!(outcome.unwrap_err().starts_with("nobody signed in"));
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
