//! The HTTP routes of one listener: `/mcp`, `/mcp/all` and REST.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::Endpoints;
use crate::server::page;
use crate::server::rest;
use crate::server::rest::Listener;
use crate::server::state::App;

/// The state that all listeners share.
pub struct Routes {
    app: Arc<App>,
    is_loopback: bool,
    trusted_hosts: Vec<String>,
    mcp: Endpoints,
    /// Counts the requests in flight.
    in_flight: TaskTracker,
    /// Ends all sessions.
    sessions: CancellationToken,
}

impl Routes {
    /// `is_loopback` tells whether only this computer can reach the TCP listener.
    pub fn new(app: Arc<App>, is_loopback: bool, trusted_hosts: Vec<String>) -> Routes {
        Routes {
            mcp: Endpoints::new(app.proxy.clone(), app.control.clone(), app.sessions.clone()),
            app,
            is_loopback,
            trusted_hosts,
            in_flight: TaskTracker::new(),
            sessions: CancellationToken::new(),
        }
    }

    /// Waits for the requests in flight, at most for `limit`, then ends all sessions.
    pub async fn drain(&self, limit: Duration) {
        self.in_flight.close();
        let _ = tokio::time::timeout(limit, self.in_flight.wait()).await;
        self.sessions.cancel();
    }

    /// Saves the sessions, so that they survive a restart.
    pub fn save_sessions(&self) {
        self.mcp.save_sessions();
    }

    /// Returns all routes of one listener.
    pub fn router(&self, listener: Listener) -> Router {
        let is_exposed = listener == Listener::Tcp && !self.is_loopback;
        let hosts = (!is_exposed).then(|| self.trusted_hosts.clone());
        let mcp = self.mcp.router(hosts.as_deref(), &self.sessions);
        let mcp = if self.app.config.current().require_mcp_auth || is_exposed {
            let access = from_fn_with_state((self.app.clone(), listener), rest::check_access);
            mcp.route_layer(access)
        } else {
            mcp
        };
        let counted = from_fn_with_state(self.in_flight.clone(), count);
        let rest = rest::router(self.app.clone(), listener);
        let routes = match listener {
            Listener::Local => rest,
            Listener::Tcp => rest.merge(self.page(hosts)),
        };
        routes.merge(mcp).layer(counted)
    }
}

impl Routes {
    /// The web UI; it asks REST as a local program does, once a visitor has passed its gate.
    fn page(&self, hosts: Option<Vec<String>>) -> Router {
        let events = Router::new().route("/ui/events", get(rest::events::events)).with_state(self.app.clone());
        page::router(self.app.clone(), rest::router(self.app.clone(), Listener::Local), events, hosts)
    }
}

/// Counts a request until its response has been sent. Does not count requests that listen until the core stops.
async fn count(State(in_flight): State<TaskTracker>, request: Request, next: Next) -> Response {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    if request.method() != Method::POST || listens {
        return next.run(request).await;
    }
    let counted = in_flight.token();
    let answer = next.run(request).await;
    if answer.body().size_hint().exact().is_some() {
        // The complete response is ready, and the connection closes after sending it.
        return answer;
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &counted;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use axum::routing::any;
    use futures_util::stream;
    use tower_service::Service as _;

    use super::*;

    /// Sends a request to a route whose response is a stream.
    async fn answer(in_flight: &TaskTracker, method: Method, mcp_method: &str) -> Response {
        let streamed = || async { Body::from_stream(stream::iter([Ok::<_, std::io::Error>("x")])) };
        let counted = from_fn_with_state(in_flight.clone(), count);
        let mut router = Router::new().route("/", any(streamed)).layer(counted);
        let request = Request::builder().method(method).uri("/").header("mcp-method", mcp_method);
        router.call(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_is_in_flight_until_its_response_has_been_read() {
        let in_flight = TaskTracker::new();
        let called = answer(&in_flight, Method::POST, "tools/call").await;
        assert_eq!(in_flight.len(), 1);
        called.into_body().collect().await.unwrap();
        assert_eq!(in_flight.len(), 0);
    }

    #[tokio::test]
    async fn a_request_that_listens_until_the_core_stops_is_not_in_flight() {
        let in_flight = TaskTracker::new();
        let listening = answer(&in_flight, Method::POST, "subscriptions/listen").await;
        let stream = answer(&in_flight, Method::GET, "").await;
        assert_eq!(in_flight.len(), 0);
        drop((listening, stream));
    }
}
