//! Opens a session with one server: starts or reaches it, initializes it and lists its tools.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::Tool;
use rmcp::service::{ClientServiceExt, RoleClient, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::auth::AuthorizationManager;
use tokio::sync::{Notify, broadcast, oneshot};

use crate::config::{Protocol, ServerConfig};
use crate::upstream::connect_error::ConnectError;
use crate::upstream::list::list_tools;
use crate::upstream::oauth;
use crate::upstream::process::{Process, Spawned, spawn};
use crate::upstream::server_handles::ServerHandles;
use crate::upstream::session::client_handler::Client;
use crate::upstream::session::protocol_version::Lifecycle;
use crate::upstream::session::router::{Broadcast, RoutingTransport};
use crate::upstream::transport::oversized_line::OversizedLines;
use crate::upstream::transport::stdio::{self, SharedInFlight, StdioFastPath};
use crate::upstream::transport::{http, http_error, legacy_sse};

/// A first start may download a package: pitfalls of shorter limits are many and of longer ones none.
const FIRST_START: Duration = Duration::from_secs(180);
/// A server that runs already answers sooner.
pub const FIRST_ANSWER: Duration = Duration::from_secs(30);

pub struct Session {
    pub protocol: Protocol,
    pub service: RunningService<RoleClient, Client>,
    /// None for a server that is reached over HTTP.
    pub process: Option<Process>,
    /// Tells the end of a server that is reached over HTTP, where that can be told.
    pub end: Option<oneshot::Receiver<String>>,
    pub shortcut: Option<StdioFastPath>,
    pub tools: Vec<Tool>,
    pub changed: Arc<Notify>,
}

impl Session {
    pub fn identity(&self) -> Option<(String, String)> {
        let info = self.service.peer().peer_info()?;
        let server = info.server_info.as_ref()?;
        Some((server.name.clone(), server.version.clone()))
    }
}

pub async fn connect(config: &ServerConfig, log: &Path, handles: &ServerHandles) -> Result<Session, ConnectError> {
    // What was wrong at first says more than what comes of the other ways.
    let error = match open(config, log, handles, Lifecycle::Before).await {
        Err(ConnectError::NoInitialize(error)) => error,
        opened => return opened,
    };
    tracing::info!(server = config.name, "it knows no `initialize`; it may be of 2026-07-28");
    match open(config, log, handles, Lifecycle::Newest).await {
        Err(ConnectError::Failed(_) | ConnectError::NoInitialize(_) | ConnectError::Locked(_)) => {}
        opened => return opened,
    }
    let Some(older) = config.over_sse() else { return Err(ConnectError::Failed(error)) };
    tracing::info!(server = config.name, "it may be of the older HTTP+SSE kind");
    match open(&older, log, handles, Lifecycle::Before).await {
        Err(ConnectError::Failed(_) | ConnectError::NoInitialize(_) | ConnectError::Locked(_)) => {
            Err(ConnectError::Failed(error))
        }
        opened => opened,
    }
}

async fn open(
    config: &ServerConfig,
    log: &Path,
    handles: &ServerHandles,
    revision: Lifecycle,
) -> Result<Session, ConnectError> {
    let changed = Arc::new(Notify::new());
    let client = Client {
        changed: changed.clone(),
    };
    let protocol = config.effective_protocol();
    let (outcome, process, shortcut) = match protocol {
        Protocol::Stdio => {
            let (outcome, process, shortcut) = start(config, log, &handles.news, client, revision).await?;
            // It writes what only the revisions of before read.
            let outcome = outcome.map(|opened| (opened, None));
            (outcome, Some(process), Some(shortcut).filter(|_| revision == Lifecycle::Before))
        }
        Protocol::Sse => {
            let outcome = reach_older(config, client, handles).await;
            (outcome.map(|(opened, end)| (opened, Some(end))), None, None)
        }
        _ => (reach(config, client, handles, revision).await.map(|opened| (opened, None)), None, None),
    };
    match outcome {
        Ok(((service, tools), end)) => Ok(Session {
            protocol,
            service,
            process,
            end,
            shortcut,
            tools,
            changed,
        }),
        Err(trouble) => match (trouble, process) {
            (ConnectError::Failed(error), Some(process)) => {
                process.end().await;
                Err(format!("{error}; its own words are in `{}`", log.display()).into())
            }
            (ConnectError::NoInitialize(error), Some(process)) => {
                process.end().await;
                Err(ConnectError::NoInitialize(format!("{error}; its own words are in `{}`", log.display())))
            }
            (trouble, _) => Err(trouble),
        },
    }
}

type Opened = (RunningService<RoleClient, Client>, Vec<Tool>);

/// Starts a server's process and speaks to its streams.
async fn start(
    config: &ServerConfig,
    log: &Path,
    news: &broadcast::Sender<Broadcast>,
    client: Client,
    revision: Lifecycle,
) -> Result<(Result<Opened, ConnectError>, Process, StdioFastPath), String> {
    let Spawned {
        mut process,
        stdout,
        stdin,
    } = spawn(config, log)?;
    let in_flight = SharedInFlight::default();
    let (shortcut, output, input) = stdio::open(stdout, stdin, in_flight.clone());
    let transport = AsyncRwTransport::new(OversizedLines::new(output), input);
    let transport = RoutingTransport::new(transport, &config.name, in_flight, news.clone());
    let attempt = async {
        let service = client.serve_with_lifecycle(transport, revision.lifecycle()).await;
        let service = service.map_err(|error| {
            revision.refused(&error, ConnectError::Failed(format!("it did not initialise: {error}")))
        })?;
        let short = Some(&shortcut).filter(|_| revision == Lifecycle::Before);
        let tools = list_tools(service.peer(), short, &config.name).await?;
        Ok((service, tools))
    };
    let outcome = tokio::select! {
        outcome = in_time(config.init_timeout.unwrap_or(FIRST_START), attempt) => outcome,
        status = process.ended() => Err(format!("it ended before it was ready ({status})").into()),
    };
    Ok((outcome, process, shortcut))
}

/// Opens a session with a server over HTTP.
async fn reach(
    config: &ServerConfig,
    client: Client,
    handles: &ServerHandles,
    revision: Lifecycle,
) -> Result<Opened, ConnectError> {
    let attempt = async {
        let (way, manager) = way(config, handles).await?;
        let transport = http::transport(config, way, manager);
        let transport = RoutingTransport::new(transport, &config.name, SharedInFlight::default(), handles.news.clone());
        let service = client.serve_with_lifecycle(transport, revision.lifecycle()).await;
        let service = service.map_err(|error| revision.refused(&error, http_error::not_opened(config, &error)))?;
        let tools = list_tools(service.peer(), None, &config.name).await?;
        Ok((service, tools))
    };
    in_time(config.init_timeout.unwrap_or(FIRST_ANSWER), attempt).await
}

/// Opens a session with a server over the older HTTP+SSE; with it comes the place where the end of its stream is told.
async fn reach_older(
    config: &ServerConfig,
    client: Client,
    handles: &ServerHandles,
) -> Result<(Opened, oneshot::Receiver<String>), ConnectError> {
    let attempt = async {
        let (way, manager) = way(config, handles).await?;
        let (transport, end) =
            legacy_sse::open(config, way, manager).await.map_err(|error| http_error::explained(config, &error))?;
        let transport = RoutingTransport::new(transport, &config.name, SharedInFlight::default(), handles.news.clone());
        // The revision without `initialize` does not know this transport.
        let service = client.serve_with_lifecycle(transport, Lifecycle::Before.lifecycle()).await;
        let service = service.map_err(|error| http_error::not_opened(config, &error))?;
        let tools = list_tools(service.peer(), None, &config.name).await?;
        Ok(((service, tools), end))
    };
    in_time(config.init_timeout.unwrap_or(FIRST_ANSWER), attempt).await
}

/// What speaks HTTP with a server, and what puts the token of whoever signed in into requests.
async fn way(
    config: &ServerConfig,
    handles: &ServerHandles,
) -> Result<(reqwest::Client, AuthorizationManager), ConnectError> {
    let way = http::client(config)?;
    let (manager, provider) = oauth::manager(config, &handles.tokens).await?;
    handles.state.send_modify(|state| state.sign_in.provider = provider);
    Ok((way, manager))
}

async fn in_time<T>(
    limit: Duration,
    attempt: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let outcome = tokio::time::timeout(limit, attempt).await;
    outcome.unwrap_or_else(|_| Err(format!("it did not initialise within {} s", limit.as_secs()).into()))
}
