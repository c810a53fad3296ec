//! The HTTP routes of MCP: `/mcp`, `/mcp/all` and `/mcp/all/{server}`, each also with a trailing slash.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, any, on_service};
use rmcp::transport::streamable_http_server::session::SessionStore;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::config::serving::RoutingMode;
use crate::contract::names;
use crate::control::servers::ServerControl;
use crate::gateway::direct_mode::handler::DirectHandler;
use crate::gateway::fast_path::{FastPath, Mode};
use crate::gateway::http::empty_event_compat::without_priming;
use crate::gateway::http::json_rpc_errors::explain;
use crate::gateway::http::lenient::{widen_accept, with_http_status};
use crate::gateway::http::paths::{unknown_path, unknown_profile};
use crate::gateway::http::raw_results::raw_results;
use crate::gateway::http::session_store::PersistentSessions;
use crate::gateway::search_mode::handler::Handler;
use crate::gateway::session_registry::Sessions;
use crate::gateway::tool_calls::Proxy;

/// The endpoints of one core, for any number of listeners.
pub struct Endpoints {
    proxy: Arc<Proxy>,
    control: Arc<ServerControl>,
    stored_sessions: Arc<PersistentSessions>,
}

impl Endpoints {
    /// `stored_sessions` are the sessions that survive a restart.
    pub fn new(proxy: Arc<Proxy>, control: Arc<ServerControl>, stored_sessions: Arc<PersistentSessions>) -> Endpoints {
        Endpoints {
            proxy,
            control,
            stored_sessions,
        }
    }

    /// Saves the sessions, so that they survive a restart.
    pub fn save_sessions(&self) {
        self.stored_sessions.save_all();
    }

    /// Returns the routes of one listener; `stop` ends every session. `trusted` are the names of this computer that a
    /// request may use besides the loopback names; `None` allows any name, because an API key protects the listener.
    pub fn router(&self, trusted: Option<&[String]>, stop: &CancellationToken) -> Router {
        let mut settings = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
        let hosts: Option<Arc<[String]>> = match trusted {
            None => {
                settings = settings.disable_allowed_hosts();
                None
            }
            Some(trusted) => {
                let hosts: Vec<String> = settings.allowed_hosts.iter().chain(trusted).cloned().collect();
                // Prevents DNS rebinding: pages of other sites must not reach the tools.
                settings = settings.with_allowed_origins(hosts.iter().flat_map(|host| origins(host)));
                settings = settings.with_allowed_hosts(hosts.clone());
                Some(hosts.into())
            }
        };
        let fast_path = |mode| FastPath {
            proxy: self.proxy.clone(),
            sessions: Arc::new(Sessions::new(self.stored_sessions.usages().clone())),
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
        let routes = |paths: &[String], library: Library, fast_path: FastPath| {
            let endpoint = Arc::new(Endpoint { fast_path, library });
            let routes = paths.iter().fold(Router::new(), |router, path| router.route(path, any(answer)));
            routes.with_state(endpoint)
        };
        let with_slash = |path: &str| [path.to_owned(), format!("{path}/")];
        let profile = format!("{}/{{profile}}", names::MCP_PROFILE_PATH);
        let mut search_paths = [names::MCP_CALL_PATH, names::MCP_CODE_PATH, &profile].map(with_slash).concat();
        let one = format!("{}/{{server}}", names::MCP_ALL_PATH);
        let mut direct_paths = [names::MCP_ALL_PATH, &one, &format!("{profile}/all")].map(with_slash).concat();
        let own = if self.control.config().at_start().routing_mode == RoutingMode::Direct {
            &mut direct_paths
        } else {
            &mut search_paths
        };
        own.extend(with_slash(names::MCP_PATH));
        let methods = MethodFilter::GET.or(MethodFilter::POST).or(MethodFilter::DELETE);
        routes(&search_paths, Library::new(on_service(methods, mcp)), search)
            .merge(routes(&direct_paths, Library::new(on_service(methods, all)), direct))
            .route("/mcp/{*rest}", any(unknown_path))
    }
}

/// One endpoint on one listener.
struct Endpoint {
    fast_path: FastPath,
    library: Library,
}

/// The library's service, and what corrects its requests and responses.
struct Library(MethodRouter);

impl Library {
    fn new(service: MethodRouter) -> Library {
        let corrected = service.layer(from_fn(explain)).layer(from_fn(without_priming)).layer(from_fn(raw_results));
        Library(corrected.layer(from_fn(with_http_status)))
    }

    async fn answer(&self, request: Request) -> Response {
        let Ok(response) = self.0.clone().call(request).await;
        response
    }
}

/// Answers a request to an endpoint.
///
/// The fast path comes before all layers: each layer copies everything below it for each request, and a copy of the
/// library's service and its settings takes longer than a call on the fast path.
async fn answer(State(endpoint): State<Arc<Endpoint>>, mut request: Request) -> Response {
    if let Some(refusal) = unknown_profile(&endpoint.fast_path.proxy, request.uri()) {
        return refusal;
    }
    widen_accept(request.headers_mut());
    match endpoint.fast_path.try_answer(request).await {
        ControlFlow::Break(response) => response,
        ControlFlow::Continue(request) => endpoint.library.answer(request).await,
    }
}

/// A session that is idle for this long is removed from memory, where it takes about 70 kB. The next request restores
/// it.
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

/// Returns the origins of pages on this host.
fn origins(host: &str) -> [String; 2] {
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    [format!("http://{host}:*"), format!("https://{host}:*")]
}
