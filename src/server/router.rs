//! The HTTP routes of the core: `/mcp`, `/mcp/all` and REST, as one listener serves them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use http_body_util::BodyExt as _;
use rmcp::transport::streamable_http_server::session::SessionStore;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::serving::RoutingMode;
use crate::contract::names;
use crate::gateway::http::paths::{known_profile, unknown_path};
use crate::gateway::{
    DirectHandler, FastPath, Handler, Mode, PersistentSessions, explain, fast_path_middleware, without_priming,
};
use crate::server::rest;
use crate::server::rest::Listener;
use crate::server::state::App;

/// What the routes of all listeners share.
pub struct Routes {
    app: Arc<App>,
    is_loopback: bool,
    trusted_hosts: Vec<String>,
    stored_sessions: Arc<PersistentSessions>,
    /// Requests that are being answered.
    in_flight: TaskTracker,
    /// Ends every session.
    sessions: CancellationToken,
}

impl Routes {
    /// `is_loopback`: whether the TCP listener is reachable from this computer only.
    pub fn new(app: Arc<App>, is_loopback: bool, trusted_hosts: Vec<String>) -> Routes {
        Routes {
            stored_sessions: PersistentSessions::load(app.root.mcp_sessions()),
            app,
            is_loopback,
            trusted_hosts,
            in_flight: TaskTracker::new(),
            sessions: CancellationToken::new(),
        }
    }

    /// Waits for the requests in flight, at most `limit`, then ends every session.
    pub async fn drain(&self, limit: Duration) {
        self.in_flight.close();
        let _ = tokio::time::timeout(limit, self.in_flight.wait()).await;
        self.sessions.cancel();
    }

    /// Saves the sessions, which continue after a restart.
    pub fn save_sessions(&self) {
        self.stored_sessions.save();
    }

    /// All routes of one listener.
    pub fn router(&self, door: Listener) -> Router {
        let control = self.app.control.clone();
        let mut settings = StreamableHttpServerConfig::default().with_cancellation_token(self.sessions.child_token());
        let hosts: Option<Arc<[String]>> = if door == Listener::Tcp && !self.is_loopback {
            // Reached by names we cannot know; the key is what protects it then.
            settings = settings.disable_allowed_hosts();
            None
        } else {
            let hosts: Vec<String> = settings.allowed_hosts.iter().chain(&self.trusted_hosts).cloned().collect();
            // A page of another site, or one whose name was pointed at this computer, must not reach the tools.
            settings = settings.with_allowed_origins(hosts.iter().flat_map(|host| origins(host)));
            settings = settings.with_allowed_hosts(hosts.clone());
            Some(hosts.into())
        };
        let fast_path = |mode| FastPath {
            proxy: self.app.proxy.clone(),
            sessions: Arc::default(),
            hosts: hosts.clone(),
            mode,
        };
        let (fast_search, fast_direct) = (fast_path(Mode::Search), fast_path(Mode::Direct));
        let (all, sessions) = (self.app.proxy.clone(), fast_direct.sessions.clone());
        let (open, known) = (sessions_in_memory(), sessions.clone());
        let all = StreamableHttpService::new(
            move || Ok(DirectHandler::new(all.clone(), sessions.clone())),
            open.clone(),
            remembering(settings.clone(), self.stored_sessions.at(Mode::Direct, open, known)),
        );
        let (proxy, sessions) = (self.app.proxy.clone(), fast_search.sessions.clone());
        let (open, known) = (sessions_in_memory(), sessions.clone());
        let mcp = StreamableHttpService::new(
            move || Ok(Handler::new(proxy.clone(), control.clone(), sessions.clone())),
            open.clone(),
            remembering(settings, self.stored_sessions.at(Mode::Search, open, known)),
        );
        let one = format!("{}/{{server}}", names::MCP_ALL_PATH);
        let profile = format!("{}/{{profile}}", names::MCP_PROFILE_PATH);
        let is_direct = self.app.config.current().routing_mode == RoutingMode::Direct;
        let mut of_search = Router::new();
        let mut of_direct = Router::new();
        // With and without the slash that clients and people add.
        for path in [names::MCP_PATH, "/mcp/"] {
            if is_direct {
                of_direct = of_direct.route_service(path, all.clone());
            } else {
                of_search = of_search.route_service(path, mcp.clone());
            }
        }
        let known_profile = from_fn_with_state(self.app.proxy.clone(), known_profile);
        let mcp = of_search
            .route_service(names::MCP_CALL_PATH, mcp.clone())
            .route_service(names::MCP_CODE_PATH, mcp.clone())
            .route_service(&profile, mcp)
            .layer(known_profile.clone())
            .layer(from_fn(explain))
            .layer(from_fn(without_priming))
            .layer(from_fn_with_state(fast_search, fast_path_middleware));
        let all = of_direct
            .route_service(names::MCP_ALL_PATH, all.clone())
            .route_service(&one, all.clone())
            .route_service(&format!("{profile}/all"), all)
            .layer(known_profile)
            .layer(from_fn(explain))
            .layer(from_fn(without_priming))
            .layer(from_fn_with_state(fast_direct, fast_path_middleware));
        let mcp = mcp.merge(all).route("/mcp/{*rest}", axum::routing::any(unknown_path));
        let asks_for_key = self.app.config.current().require_mcp_auth || (door == Listener::Tcp && !self.is_loopback);
        let mcp = if asks_for_key {
            let access = from_fn_with_state((self.app.clone(), door), rest::check_access);
            mcp.layer(access)
        } else {
            mcp
        };
        let counted = from_fn_with_state(self.in_flight.clone(), count);
        rest::router(self.app.clone(), door).merge(mcp).layer(counted)
    }
}

/// Counts a request until all of its answer is with the client; not one that listens for as long as the core serves.
async fn count(State(in_flight): State<TaskTracker>, request: Request, next: Next) -> Response {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    if request.method() != Method::POST || listens {
        return next.run(request).await;
    }
    let counted = in_flight.token();
    let answer = next.run(request).await;
    if answer.body().size_hint().exact().is_some() {
        // Nothing more is asked of anybody for it; the connection ends when it is sent.
        return answer;
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &counted;
            frame
        }))
    })
}

/// A session that is not used for so long ends in memory, where it takes some 70 kB; it goes on when it is used again.
const SESSION_IDLE: Duration = Duration::from_mins(30);

fn sessions_in_memory() -> Arc<LocalSessionManager> {
    let mut manager = LocalSessionManager::default();
    manager.session_config.keep_alive = Some(SESSION_IDLE);
    Arc::new(manager)
}

fn remembering(
    mut settings: StreamableHttpServerConfig,
    sessions: Arc<dyn SessionStore>,
) -> StreamableHttpServerConfig {
    settings.session_store = Some(sessions);
    settings
}

/// The origins of pages that a host of this list may serve.
fn origins(host: &str) -> [String; 2] {
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    [format!("http://{host}:*"), format!("https://{host}:*")]
}
