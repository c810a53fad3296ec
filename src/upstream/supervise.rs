//! Keeps one upstream server going: start, initialise, list its tools, wait for its end, start again with back-off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, ClientResult, ErrorCode, Implementation, PingRequest,
    ServerNotification, ServerRequest, SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientServiceExt, NotificationContext, Peer, RequestContext, RoleClient, RunningService, Service, ServiceError,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::auth::AuthorizationManager;
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::references::{Kind, Unresolved};
use crate::config::{Protocol, ServerConfig, references};
use crate::os::environment::Environment;
use crate::os::keychain::{self, Keychain as _, SystemKeychain};
use crate::upstream::approvals::Approvals;
use crate::upstream::list::list_tools;
use crate::upstream::oauth;
use crate::upstream::oauth::ConnectError;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::process::{Process, Spawned, spawn};
use crate::upstream::session::in_flight::{NoRecipient, Question, ServerEvent};
use crate::upstream::session::multi_round_trip::is_stateless;
use crate::upstream::session::protocol_version::Lifecycle;
use crate::upstream::session::router::{Broadcast, Recipient, RoutingTransport};
use crate::upstream::session::subscriptions::Subscriptions;
use crate::upstream::session::sync_subscriptions::sync_all;
use crate::upstream::snapshot::{Phase, Snapshot};
use crate::upstream::transport::http;
use crate::upstream::transport::legacy_sse;
use crate::upstream::transport::oversized_line::OversizedLines;
use crate::upstream::transport::stdio;
use crate::upstream::transport::stdio::{SharedInFlight, StdioFastPath};

/// What a server's task tells, and how it is spoken to.
pub struct ServerHandles {
    pub state: Arc<watch::Sender<Snapshot>>,
    pub approvals: Arc<Approvals>,
    pub tokens: Arc<TokenStore>,
    pub connection: watch::Sender<Option<Connection>>,
    pub restart: Arc<Notify>,
    /// A call could not be brought to the server: it may be gone.
    pub health_check: Arc<Notify>,
    pub stop: CancellationToken,
    pub news: broadcast::Sender<Broadcast>,
    pub subscriptions: Arc<Mutex<Subscriptions>>,
}

/// How a connected server is spoken to.
#[derive(Debug, Clone)]
pub struct Connection {
    pub peer: Peer<RoleClient>,
    /// None for a server over HTTP.
    pub shortcut: Option<StdioFastPath>,
}

/// A first start may download a package: pitfalls of shorter limits are many and of longer ones none.
const FIRST_START: Duration = Duration::from_secs(180);
/// A server that runs already answers sooner.
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// How often a quiet server over HTTP is asked whether it is there, and how long it may think.
const LOOK: Duration = Duration::from_secs(60);
const PING: Duration = Duration::from_secs(10);
/// From one list of a server's tools to the next.
const BETWEEN_LISTS: Duration = Duration::from_millis(500);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that held this long ends the back-off.
const SETTLED: Duration = Duration::from_secs(30);

/// Runs until `handles.stop`; the process is ended before this returns.
pub async fn run(config: Arc<ServerConfig>, log: PathBuf, handles: ServerHandles) {
    let mut pause = SHORTEST_PAUSE;
    let mut connections = 0;
    while !handles.stop.is_cancelled() {
        // Anew each time: a variable may have been set and a secret changed.
        let resolved = match inactive_phase(&config) {
            Some(phase) => Err(phase),
            None => resolved(&config).await,
        };
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(phase) => {
                handles.state.send_modify(|state| state.phase = phase);
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => continue,
                }
            }
        };
        handles.state.send_modify(|state| state.phase = Phase::Connecting);
        let attempt = tokio::select! {
            () = handles.stop.cancelled() => return,
            attempt = connect(&resolved, &log, &handles) => attempt,
        };
        let trouble = match attempt {
            Ok(session) => {
                connections += 1;
                let since = tokio::time::Instant::now();
                handles.state.send_modify(|state| {
                    state.reconnects = connections - 1;
                    state.retries = 0;
                    state.protocol = session.protocol;
                    state.identity = session.identity();
                });
                let trouble = serve(session, &config, &handles).await;
                if since.elapsed() >= SETTLED {
                    pause = SHORTEST_PAUSE;
                }
                trouble
            }
            Err(trouble) => Some(trouble),
        };
        let error = match trouble {
            None => continue,
            Some(ConnectError::Failed(error) | ConnectError::NoInitialize(error)) => error,
            Some(ConnectError::Locked(error)) => {
                tracing::warn!(server = config.name, "{error}");
                handles.state.send_modify(|state| state.phase = Phase::Failed(error));
                // Each further try would ask the person again.
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => continue,
                }
            }
            Some(ConnectError::SignIn(challenge)) => {
                tracing::info!(server = config.name, "waits for a person to sign in");
                handles.state.send_modify(|state| {
                    if state.sign_in.provider.take().is_some() {
                        handles.tokens.note_expired();
                    }
                    state.phase = Phase::SignInNeeded(challenge);
                });
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => continue,
                }
            }
        };
        tracing::warn!(server = config.name, "{error}");
        handles.state.send_modify(|state| {
            state.phase = Phase::Failed(error);
            state.retries += 1;
        });
        tokio::select! {
            () = handles.stop.cancelled() => return,
            () = handles.restart.notified() => pause = SHORTEST_PAUSE,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// The entry with what its references stand for.
pub async fn resolved(config: &ServerConfig) -> Result<ServerConfig, Phase> {
    let wanted = references::names(config, Kind::Variable);
    let environment = Environment::read(|name| wanted.contains(name));
    let mut secrets = BTreeMap::new();
    for name in references::names(config, Kind::Secret) {
        let wanted = name.clone();
        match keychain::ask(move || SystemKeychain.read(&wanted)).await {
            Ok(secret) => secrets.extend(secret.map(|secret| (name, secret))),
            Err(error) => return Err(Phase::Failed(format!("its secret `{name}` cannot be had: {error}"))),
        }
    }
    let value = |kind, name: &str| match kind {
        Kind::Variable => environment.get(name),
        Kind::Secret => secrets.get(name).map(String::as_str),
    };
    references::resolved(config, value).map_err(|error| match error {
        Unresolved::NotSet(variable) => Phase::MissingEnvVar(variable),
        other => Phase::Misconfigured(other.to_string()),
    })
}

/// The phase of a server that is not to be started.
pub fn inactive_phase(config: &ServerConfig) -> Option<Phase> {
    if !config.enabled {
        return Some(Phase::Disabled);
    }
    if config.quarantined {
        return Some(Phase::Quarantined);
    }
    config.must_be_isolated().map(Phase::Misconfigured)
}

struct Session {
    protocol: Protocol,
    service: RunningService<RoleClient, Client>,
    /// None for a server that is reached over HTTP.
    process: Option<Process>,
    /// Tells the end of a server that is reached over HTTP, where that can be told.
    end: Option<oneshot::Receiver<String>>,
    shortcut: Option<StdioFastPath>,
    tools: Vec<Tool>,
    changed: Arc<Notify>,
}

impl Session {
    fn identity(&self) -> Option<(String, String)> {
        let info = self.service.peer().peer_info()?;
        let server = info.server_info.as_ref()?;
        Some((server.name.clone(), server.version.clone()))
    }
}

async fn connect(config: &ServerConfig, log: &Path, handles: &ServerHandles) -> Result<Session, ConnectError> {
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
        let service = service.map_err(|error| revision.refused(&error, http::not_opened(config, &error)))?;
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
            legacy_sse::open(config, way, manager).await.map_err(|error| http::explained(config, &error))?;
        let transport = RoutingTransport::new(transport, &config.name, SharedInFlight::default(), handles.news.clone());
        // The revision without `initialize` does not know this transport.
        let service = client.serve_with_lifecycle(transport, Lifecycle::Before.lifecycle()).await;
        let service = service.map_err(|error| http::not_opened(config, &error))?;
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

/// Serves calls until the server ends (its reason), is to restart, or is to stop (both `None`).
async fn serve(session: Session, config: &ServerConfig, handles: &ServerHandles) -> Option<ConnectError> {
    let Session {
        protocol,
        mut service,
        mut process,
        mut end,
        shortcut,
        tools,
        changed,
    } = session;
    let config = &ServerConfig {
        protocol,
        ..config.clone()
    };
    let peer = service.peer().clone();
    tracing::info!(server = config.name, tools = tools.len(), "connected");
    handles.connection.send_replace(Some(Connection {
        peer: peer.clone(),
        shortcut: shortcut.clone(),
    }));
    take_tools(tools, config, handles);
    let (told, name, subscriptions) = (peer.clone(), config.name.clone(), handles.subscriptions.clone());
    let _listening = if is_stateless(&peer) {
        Some(AbortOnDropHandle::new(tokio::spawn(listen(peer.clone(), name, changed.clone()))))
    } else {
        tokio::spawn(async move { sync_all(told, name, &subscriptions).await });
        None
    };
    // Nobody tells that a server at the other end of a network is gone.
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    let over_http = process.is_none();
    // Goes on whatever else happens: a server that does not list must still hear that it is to stop.
    let mut listed_anew = std::pin::pin!(list_anew(&peer, shortcut.as_ref(), config, &changed));
    let trouble = loop {
        tokio::select! {
            () = handles.stop.cancelled() => break None,
            () = handles.restart.notified() => break None,
            status = end_of(process.as_mut()) => break Some(format!("it ended ({status})").into()),
            said = end_of_stream(end.as_mut()) => break Some(http::ended(config, &said)),
            _ = look.tick(), if over_http => {
                if let Err(error) = ping(&peer, config, end.as_mut()).await { break Some(error) }
            }
            () = handles.health_check.notified(), if over_http => {
                if let Err(error) = ping(&peer, config, end.as_mut()).await { break Some(error) }
            }
            listed = &mut listed_anew => {
                match listed {
                    Ok(Ok(tools)) => take_tools(tools, config, handles),
                    Ok(Err(error)) => break Some(error.into()),
                    Err(_) => tracing::warn!(
                        server = config.name,
                        "it said that its tools have changed, and did not list them within {} s",
                        FIRST_ANSWER.as_secs()
                    ),
                }
                listed_anew.set(list_anew(&peer, shortcut.as_ref(), config, &changed));
            }
        }
    };
    handles.connection.send_replace(None);
    if !handles.stop.is_cancelled() {
        handles.state.send_modify(|state| state.phase = Phase::Connecting);
    }
    // Closing the session closes the server's input, which asks it to end.
    let _ = tokio::time::timeout(Duration::from_secs(2), service.close()).await;
    drop(service);
    if let Some(process) = process {
        process.end().await;
    }
    trouble
}

/// Hears of changed lists from a server of 2026-07-28, which tells only who asked for it. What is announced to clients has
/// been seen on the way here.
async fn listen(peer: Peer<RoleClient>, server: String, changed: Arc<Notify>) {
    let wanted = || SubscriptionFilter::builder().tools_list_changed().prompts_list_changed().resources_list_changed();
    let mut pause = SHORTEST_PAUSE;
    loop {
        let since = tokio::time::Instant::now();
        match peer.listen(wanted().build()).await {
            Ok(mut subscription) => {
                while let Ok(Some(told)) = subscription.next().await {
                    if let ServerNotification::ToolListChangedNotification(_) = told {
                        changed.notify_one();
                    }
                }
            }
            Err(ServiceError::McpError(error)) => {
                tracing::debug!(server, "it tells of no changes: {error}");
                return;
            }
            Err(error) => tracing::debug!(server, "its changes are not heard of now: {error}"),
        }
        // One that ends at once each time is not to be asked each second.
        pause = if since.elapsed() >= SETTLED { SHORTEST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
        // Something may have changed in between.
        changed.notify_one();
    }
}

/// Waits for a process to end; for ever where there is none.
async fn end_of(process: Option<&mut Process>) -> String {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of a stream; for ever where there is none.
async fn end_of_stream(end: Option<&mut oneshot::Receiver<String>>) -> String {
    match end {
        Some(end) => end.await.unwrap_or_else(|_| "its session has ended".to_owned()),
        None => std::future::pending().await,
    }
}

/// Whether the server still answers; an error of its own is an answer, too. Where its stream has ended, `end` says why.
async fn ping(
    peer: &Peer<RoleClient>,
    config: &ServerConfig,
    end: Option<&mut oneshot::Receiver<String>>,
) -> Result<(), ConnectError> {
    let asked = peer.send_request(ClientRequest::PingRequest(PingRequest::default()));
    match tokio::time::timeout(PING, asked).await {
        Ok(Ok(_) | Err(ServiceError::McpError(_))) => Ok(()),
        Ok(Err(error)) => Err(match end.and_then(|end| end.try_recv().ok()) {
            Some(said) => http::ended(config, &said),
            None => http::not_sent(config, &error),
        }),
        Err(_) => Err(format!("it did not answer within {} s", PING.as_secs()).into()),
    }
}

/// Shows the approved tools, and holds the others back.
fn take_tools(tools: Vec<Tool>, config: &ServerConfig, handles: &ServerHandles) {
    let (open, held) = if config.trusts_changes() && !handles.approvals.holds_all(&config.name) {
        (tools, Vec::new())
    } else {
        handles.approvals.part(&config.name, tools)
    };
    handles.state.send_if_modified(|state| state.take_tools(open, held));
    let waiting = handles.state.borrow().held().len();
    if waiting > 0 {
        tracing::warn!(server = config.name, tools = waiting, "new or changed tools wait for approval");
    }
}

/// Waits until a server has said that its tools have changed, and lists them: seldom, however often it says so.
async fn list_anew(
    peer: &Peer<RoleClient>,
    shortcut: Option<&StdioFastPath>,
    config: &ServerConfig,
    changed: &Notify,
) -> Result<Result<Vec<Tool>, String>, Elapsed> {
    tokio::time::sleep(BETWEEN_LISTS).await;
    changed.notified().await;
    tokio::time::timeout(FIRST_ANSWER, list_tools(peer, shortcut, &config.name)).await
}

/// What we are to an upstream server: those of its clients' sessions that have a request under way with it.
struct Client {
    changed: Arc<Notify>,
}

impl Service<RoleClient> for Client {
    #[expect(deprecated, reason = "sampling and roots are of all revisions but the newest")]
    fn get_info(&self) -> ClientConfig {
        // What most clients can do. One that cannot is not asked, and the server hears so. Changed roots are not told: whose
        // they are could not be asked outside of a request.
        let capabilities = ClientCapabilities::builder().enable_sampling().enable_roots().enable_elicitation().build();
        ClientConfig::new(capabilities, Implementation::new("mcpproxy", env!("CARGO_PKG_VERSION")))
    }

    async fn handle_request(
        &self,
        request: ServerRequest,
        context: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        match request {
            ServerRequest::PingRequest(_) => Ok(ClientResult::empty(())),
            ServerRequest::CustomRequest(request) => {
                Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None))
            }
            question => ask(question, context).await,
        }
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _context: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        if let ServerNotification::ToolListChangedNotification(_) = notification {
            self.changed.notify_one();
        }
        Ok(())
    }
}

/// Puts a server's question to the client it is for.
async fn ask(request: ServerRequest, context: RequestContext<RoleClient>) -> Result<ClientResult, ErrorData> {
    let recipient = context.extensions.get::<Recipient>().map_or(Err(NoRecipient::Idle), |found| found.0.clone())?;
    let (answer, answered) = oneshot::channel();
    let question = Question {
        request,
        answer,
        withdrawn: context.ct.clone(),
    };
    recipient.tell(ServerEvent::Question(question));
    answered.await.map_err(|_| NoRecipient::Over)?
}
