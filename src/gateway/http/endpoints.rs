//! The HTTP routes of MCP: `/mcp`, `/mcp/all` and `/mcp/all/{server}`, each with and without a slash at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, on_service};
use rmcp::transport::streamable_http_server::session::SessionStore;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::contract::names;
use crate::control::servers::ServerControl;
use crate::gateway::direct_mode::handler::DirectHandler;
use crate::gateway::fast_path::{FastPath, Mode, fast_path_middleware};
use crate::gateway::http::empty_event_compat::without_priming;
use crate::gateway::http::json_rpc_errors::explain;
use crate::gateway::http::lenient::lenient;
use crate::gateway::http::raw_results::raw_results;
use crate::gateway::http::session_store::PersistentSessions;
use crate::gateway::search_mode::handler::Handler;
use crate::gateway::tool_calls::Proxy;

/// The endpoints of one core, for any number of listeners.
pub struct Endpoints {
    proxy: Arc<Proxy>,
    control: Arc<ServerControl>,
    stored_sessions: Arc<PersistentSessions>,
}

impl Endpoints {
    /// `sessions` is the file that keeps the sessions across restarts.
    pub fn new(proxy: Arc<Proxy>, control: Arc<ServerControl>, sessions: PathBuf) -> Endpoints {
        Endpoints {
            proxy,
            control,
            stored_sessions: PersistentSessions::load(sessions),
        }
    }

    /// Saves the sessions, which continue after a restart.
    pub fn save_sessions(&self) {
        self.stored_sessions.save();
    }

    /// The routes of one listener; `stop` ends every session. `trusted` are names of this computer that a request may use
    /// besides those of loopback; `None` where a request may use any, because a key protects the listener.
    pub fn router(&self, trusted: Option<&[String]>, stop: &CancellationToken) -> Router {
        let mut settings = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
        let hosts: Option<Arc<[String]>> = match trusted {
            None => {
                settings = settings.disable_allowed_hosts();
                None
            }
            Some(trusted) => {
                let hosts: Vec<String> = settings.allowed_hosts.iter().chain(trusted).cloned().collect();
                // A page of another site, or one whose name was pointed at this computer, must not reach the tools.
                settings = settings.with_allowed_origins(hosts.iter().flat_map(|host| origins(host)));
                settings = settings.with_allowed_hosts(hosts.clone());
                Some(hosts.into())
            }
        };
        let fast_path = |mode| FastPath {
            proxy: self.proxy.clone(),
            sessions: Arc::default(),
            hosts: hosts.clone(),
            mode,
        };
        let (search, direct) = (fast_path(Mode::Search), fast_path(Mode::Direct));
        let (proxy, sessions) = (self.proxy.clone(), direct.sessions.clone());
        let (open, known) = (sessions_in_memory(), sessions.clone());
        let all = StreamableHttpService::new(
            move || Ok(DirectHandler::new(proxy.clone(), sessions.clone())),
            open.clone(),
            remembering(settings.clone(), self.stored_sessions.at(Mode::Direct, open, known)),
        );
        let (proxy, control, sessions) = (self.proxy.clone(), self.control.clone(), search.sessions.clone());
        let (open, known) = (sessions_in_memory(), sessions.clone());
        let mcp = StreamableHttpService::new(
            move || Ok(Handler::new(proxy.clone(), control.clone(), sessions.clone())),
            open.clone(),
            remembering(settings, self.stored_sessions.at(Mode::Search, open, known)),
        );
        let methods = MethodFilter::GET.or(MethodFilter::POST).or(MethodFilter::DELETE);
        let routes = |paths: &[String], service: axum::routing::MethodRouter, fast_path: FastPath| {
            let routes = paths.iter().fold(Router::new(), |router, path| router.route(path, service.clone()));
            routes
                .route_layer(from_fn(explain))
                .route_layer(from_fn(without_priming))
                .route_layer(from_fn(raw_results))
                .route_layer(from_fn_with_state(fast_path, fast_path_middleware))
                .route_layer(from_fn(lenient))
        };
        let (own, all_path) = (names::MCP_PATH, names::MCP_ALL_PATH);
        let search = routes(&[own.to_owned(), format!("{own}/")], on_service(methods, mcp), search);
        let direct_paths = ["", "/", "/{server}", "/{server}/"].map(|end| format!("{all_path}{end}"));
        search.merge(routes(&direct_paths, on_service(methods, all), direct))
    }
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
