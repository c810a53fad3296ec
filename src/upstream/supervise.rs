//! Keeps one server running: connects, serves until its end and retries with back-off.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ClientRequest, PingRequest, ServerNotification, SubscriptionFilter, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::error::Elapsed;
use tokio_util::task::AbortOnDropHandle;

use crate::config::ServerConfig;
use crate::config::references::{self, Kind};
use crate::config::trust::Trust;
use crate::diagnostics::fault::{ConnectFailure, Failure, Fault};
use crate::telemetry::usage_counts::{Counter, UsageCounts};
use crate::upstream::connect::{CLOSE, FIRST_ANSWER, Session, connect};
use crate::upstream::connect_error::ConnectError;
use crate::upstream::exit::Stage;
use crate::upstream::list::list_tools;
use crate::upstream::process::Process;
use crate::upstream::resolve::{inactive_phase, resolved};
use crate::upstream::server_handles::{Connection, ServerHandles};
use crate::upstream::session::multi_round_trip::is_stateless;
use crate::upstream::session::sync_subscriptions::sync_all;
use crate::upstream::snapshot::Phase;
use crate::upstream::transport::http_error;
use crate::upstream::transport::stdio::StdioFastPath;
use crate::upstream::waiting::ServerStep;

/// How often a quiet server over HTTP is pinged, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from one list of a server's tools to the next.
const BETWEEN_LISTS: Duration = Duration::from_millis(500);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that lasts this long resets the back-off.
const SETTLED: Duration = Duration::from_secs(30);
/// How long a starting server counts towards the limit of concurrent starts: one that hangs must not block the others.
const START_SLOT: Duration = Duration::from_secs(10);

/// The pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backoff(Duration);

impl Backoff {
    const RESET: Backoff = Backoff(SHORTEST_PAUSE);

    fn next(self) -> Backoff {
        Backoff((self.0 * 2).min(LONGEST_PAUSE))
    }
}

/// The next step after an attempt or a session.
#[derive(Debug, PartialEq)]
enum Next {
    /// Connect again at once: a restart was requested.
    Now,
    /// Connect again after a pause.
    Retry(Failure),
    /// Wait for a person: each further attempt would prompt again.
    WaitFor(Phase),
}

impl Next {
    fn after(error: Option<ConnectError>) -> Next {
        match error {
            None => Next::Now,
            Some(ConnectError::Failed(error) | ConnectError::NoInitialize(error)) => Next::Retry(error),
            Some(ConnectError::Locked(error)) => Next::WaitFor(Phase::Failed(error)),
            Some(ConnectError::SignIn(challenge)) => Next::WaitFor(Phase::SignInNeeded(challenge)),
        }
    }
}

/// Opens sessions with a server.
trait Connect: Send + Sync {
    /// Opens one.
    fn connect(
        &self,
        config: &ServerConfig,
        handles: &ServerHandles,
    ) -> impl Future<Output = Result<Session, ConnectError>> + Send;
}

/// Starts the server, or reaches it over the network.
struct Connector {
    log: PathBuf,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &ServerConfig,
        handles: &ServerHandles,
    ) -> impl Future<Output = Result<Session, ConnectError>> + Send {
        connect(config, &self.log, handles)
    }
}

/// Runs until `handles.stop`; the process has ended when this returns.
pub async fn run(config: Arc<ServerConfig>, log: PathBuf, handles: ServerHandles) {
    supervise(config, &Connector { log }, handles).await;
}

async fn supervise(config: Arc<ServerConfig>, connector: &impl Connect, handles: ServerHandles) {
    let mut backoff = Backoff::RESET;
    let mut connections = 0;
    // The permit of a retry whose turn it is.
    let mut turn: Option<OwnedSemaphorePermit> = None;
    while !handles.stop.is_cancelled() {
        handles.waits(ServerStep::Secrets, None);
        // A prompt for a secret may stay open for minutes: others take their turn meanwhile.
        turn = turn.filter(|_| references::names(&config, Kind::Secret).is_empty());
        // Each time: a variable may have been set and a secret changed.
        let resolved = match inactive_phase(&config) {
            Some(phase) => Err(phase),
            None => resolved(&config).await,
        };
        let next = match resolved {
            Err(phase) => Next::WaitFor(phase),
            Ok(resolved) => {
                handles.state.send_modify(|state| state.phase = Phase::Connecting);
                handles.waits(ServerStep::StartSlot, None);
                let slot = start_slot(turn.take(), &handles);
                // Nothing has changed but the time: clients and the tray show now that it takes long.
                let slow = || handles.state.send_modify(|_| {});
                let attempt = tokio::select! {
                    () = handles.stop.cancelled() => return,
                    attempt = with_slot(slot, connector.connect(&resolved, &handles), slow) => attempt,
                };
                handles.waits_no_longer();
                handles.state.send_if_modified(|state| state.attempt.take().is_some());
                Next::after(match attempt {
                    Ok(session) => {
                        connections += 1;
                        note_connected(&session, connections - 1, &handles);
                        let since = tokio::time::Instant::now();
                        let error = serve(session, &config, &handles).await;
                        if since.elapsed() >= SETTLED {
                            backoff = Backoff::RESET;
                        }
                        error
                    }
                    Err(error) => {
                        count(&error, &handles.counts);
                        Some(error)
                    }
                })
            }
        };
        match next {
            Next::Now => {}
            Next::WaitFor(phase) => {
                turn = None;
                handles.waits_no_longer();
                note_waiting(phase, &config, &handles);
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => {}
                }
            }
            Next::Retry(error) => {
                // A warning for each retry of many servers would fill the log.
                if handles.state.borrow().last_failure.as_ref() == Some(&error) {
                    tracing::debug!(server = config.name, "again: {error}");
                } else {
                    tracing::warn!(server = config.name, "{error}");
                }
                let retry = handles.retries.plan(connections > 0, backoff.0);
                handles.waits(ServerStep::NextAttempt, Some(retry.pause()));
                handles.state.send_modify(|state| state.note_failure(error));
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => backoff = Backoff::RESET,
                    permit = retry.turn() => {
                        turn = permit;
                        backoff = backoff.next();
                    }
                }
            }
        }
    }
}

/// Counts a failed attempt to connect by its kind.
fn count(error: &ConnectError, counts: &UsageCounts) {
    let counter = match error.failure().and_then(|failure| failure.fault.connect_failure()) {
        Some(ConnectFailure::Timeout) => Counter::UpstreamConnectTimeout,
        Some(ConnectFailure::Refused) => Counter::UpstreamConnectRefused,
        Some(ConnectFailure::Handshake) => Counter::UpstreamHandshakeFailed,
        None => return,
    };
    counts.add(counter);
}

/// The slot of a retry whose turn it is, or else a slot for starting servers.
async fn start_slot(turn: Option<OwnedSemaphorePermit>, handles: &ServerHandles) -> Option<OwnedSemaphorePermit> {
    match turn {
        Some(turn) => Some(turn),
        // It is never closed.
        None => handles.starts.clone().acquire_owned().await.ok(),
    }
}

/// Runs an attempt in a slot. If it takes long, gives the slot back and reports it.
async fn with_slot<T>(
    slot: impl Future<Output = Option<OwnedSemaphorePermit>>,
    attempt: impl Future<Output = T>,
    slow: impl FnOnce(),
) -> T {
    let slot = slot.await;
    let mut attempt = std::pin::pin!(attempt);
    match tokio::time::timeout(START_SLOT, &mut attempt).await {
        Ok(outcome) => outcome,
        Err(_) => {
            drop(slot);
            slow();
            attempt.await
        }
    }
}

fn note_connected(session: &Session, reconnects: u32, handles: &ServerHandles) {
    handles.state.send_modify(|state| {
        state.reconnects = reconnects;
        state.retries = 0;
        state.last_failure = None;
        state.failed_at = None;
        state.sign_in.expired = false;
        state.protocol = session.protocol;
        state.identity = session.identity();
    });
}

fn note_waiting(phase: Phase, config: &ServerConfig, handles: &ServerHandles) {
    match &phase {
        Phase::SignInNeeded(_) => tracing::info!(server = config.name, "sign-in needed"),
        Phase::Failed(error) => tracing::warn!(server = config.name, "{error}"),
        _ => {}
    }
    handles.state.send_modify(|state| {
        if matches!(phase, Phase::SignInNeeded(_)) && state.sign_in.provider.take().is_some() {
            handles.tokens.note_expired();
            state.sign_in.expired = true;
        }
        state.failed_at = Some(crate::os::clock::now());
        state.phase = phase;
    });
}

/// Serves calls until the server ends (its reason), or a restart or stop is requested (`None`).
async fn serve(session: Session, config: &ServerConfig, handles: &ServerHandles) -> Option<ConnectError> {
    let Session {
        protocol,
        mut service,
        mut process,
        mut end,
        fast_path,
        tools,
        changed,
    } = session;
    let config = &ServerConfig {
        protocol,
        ..config.clone()
    };
    let peer = service.peer().clone();
    tracing::info!(server = config.name, tools = tools.len(), "connected");
    handles.session_error.clear();
    handles.connection.send_replace(Some(Connection {
        peer: peer.clone(),
        fast_path: fast_path.clone(),
    }));
    take_tools(tools, config, handles);
    let _listening = follow_changes(&peer, config, handles, changed.clone());
    // Nothing reports that a server at the other end of a network is gone.
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
    let over_http = process.is_none();
    // Continues across the other events: a server that does not list its tools must still be stoppable.
    let mut new_list = std::pin::pin!(list_again(&peer, fast_path.as_ref(), config, &changed));
    let error = loop {
        tokio::select! {
            () = handles.stop.cancelled() => break None,
            () = handles.restart.notified() => break None,
            error = handles.session_error.next() => break Some(error),
            error = exit_of(process.as_mut()) => break Some(error),
            reason = end_of_stream(end.as_mut()) => break Some(http_error::ended(config, &reason)),
            _ = pings.tick(), if over_http => {
                if let Err(error) = ping(&peer, config, end.as_mut()).await { break Some(error) }
            }
            () = handles.health_check.notified(), if over_http => {
                if let Err(error) = ping(&peer, config, end.as_mut()).await { break Some(error) }
            }
            listed = &mut new_list => {
                match listed {
                    Ok(Ok(tools)) => take_tools(tools, config, handles),
                    Ok(Err(error)) => break Some(ConnectError::failed(Fault::ListFailed, error)),
                    Err(_) => tracing::warn!(
                        server = config.name,
                        "reported changed tools, but did not list them within {} s",
                        FIRST_ANSWER.as_secs()
                    ),
                }
                new_list.set(list_again(&peer, fast_path.as_ref(), config, &changed));
            }
        }
    };
    handles.connection.send_replace(None);
    if !handles.stop.is_cancelled() {
        handles.state.send_modify(|state| state.phase = Phase::Connecting);
    }
    // Closing the session closes the server's input, which asks it to exit.
    let _ = tokio::time::timeout(CLOSE, service.close()).await;
    drop(service);
    if let Some(process) = process {
        process.end().await;
    }
    error
}

/// Subscribes to changes, in the way of the server's protocol version.
fn follow_changes(
    peer: &Peer<RoleClient>,
    config: &ServerConfig,
    handles: &ServerHandles,
    changed: Arc<Notify>,
) -> Option<AbortOnDropHandle<()>> {
    let (peer, name, subscriptions) = (peer.clone(), config.name.clone(), handles.subscriptions.clone());
    if is_stateless(&peer) {
        return Some(AbortOnDropHandle::new(tokio::spawn(listen(peer, name, changed))));
    }
    tokio::spawn(async move { sync_all(peer, name, &subscriptions).await });
    None
}

/// Receives changes of lists from a server of protocol 2026-07-28, which sends them only to subscribers. The router has already
/// announced them to clients when they arrive here.
async fn listen(peer: Peer<RoleClient>, server: String, changed: Arc<Notify>) {
    let filter = || SubscriptionFilter::builder().tools_list_changed().prompts_list_changed().resources_list_changed();
    let mut backoff = Backoff::RESET;
    loop {
        let since = tokio::time::Instant::now();
        match peer.listen(filter().build()).await {
            Ok(mut subscription) => {
                while let Ok(Some(notification)) = subscription.next().await {
                    if let ServerNotification::ToolListChangedNotification(_) = notification {
                        changed.notify_one();
                    }
                }
            }
            Err(ServiceError::McpError(error)) => {
                tracing::debug!(server, "the server does not report changes: {error}");
                return;
            }
            Err(error) => tracing::debug!(server, "the subscription to changes failed: {error}"),
        }
        // A subscription that always ends at once is not renewed every second.
        backoff = if since.elapsed() >= SETTLED { Backoff::RESET } else { backoff.next() };
        tokio::time::sleep(backoff.0).await;
        // Something may have changed in between.
        changed.notify_one();
    }
}

/// Waits for a process to exit; forever if there is none.
async fn exit_of(process: Option<&mut Process>) -> ConnectError {
    match process {
        Some(process) => {
            let exit = process.ended().await;
            process.stderr().complete().await;
            let text = process.stderr().explain(&format!("the server exited ({})", exit.text));
            ConnectError::failed(exit.fault(Stage::Running), text)
        }
        None => std::future::pending().await,
    }
}

/// Waits for the end of a stream; forever if there is none.
async fn end_of_stream(end: Option<&mut oneshot::Receiver<String>>) -> String {
    match end {
        Some(end) => end.await.unwrap_or_else(|_| "its session has ended".to_owned()),
        None => std::future::pending().await,
    }
}

/// Checks that the server still answers; its own error is an answer, too. If its stream has ended, `end` holds the reason.
async fn ping(
    peer: &Peer<RoleClient>,
    config: &ServerConfig,
    end: Option<&mut oneshot::Receiver<String>>,
) -> Result<(), ConnectError> {
    let pong = peer.send_request(ClientRequest::PingRequest(PingRequest::default()));
    match tokio::time::timeout(PING_TIMEOUT, pong).await {
        Ok(Ok(_) | Err(ServiceError::McpError(_))) => Ok(()),
        Ok(Err(error)) => Err(match end.and_then(|end| end.try_recv().ok()) {
            Some(reason) => http_error::ended(config, &reason),
            None => http_error::not_sent(config, &error),
        }),
        Err(_) => {
            let text = format!("no reply to a ping within {} s", PING_TIMEOUT.as_secs());
            Err(ConnectError::failed(Fault::NoPong, text))
        }
    }
}

/// Publishes the approved tools and holds back the others.
fn take_tools(tools: Vec<Tool>, config: &ServerConfig, handles: &ServerHandles) {
    let (open, pending) = if config.trusts_changes() && !handles.approvals.holds_all(&config.name) {
        (tools, Vec::new())
    } else {
        if config.trust() == Trust::Scan {
            handles.approvals.hold_first(&config.name);
        }
        handles.approvals.part(&config.name, tools)
    };
    handles.state.send_if_modified(|state| state.take_tools(open, pending));
    let waiting = handles.state.borrow().pending_tools().len();
    if waiting > 0 {
        tracing::warn!(server = config.name, tools = waiting, "new or changed tools need approval");
    }
}

/// Waits until a server reports changed tools, and lists them: rarely, however often it reports.
async fn list_again(
    peer: &Peer<RoleClient>,
    fast_path: Option<&StdioFastPath>,
    config: &ServerConfig,
    changed: &Notify,
) -> Result<Result<Vec<Tool>, String>, Elapsed> {
    tokio::time::sleep(BETWEEN_LISTS).await;
    changed.notified().await;
    tokio::time::timeout(FIRST_ANSWER, list_tools(peer, fast_path, &config.name)).await
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use rmcp::service::ClientServiceExt;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
    use tokio::sync::{Semaphore, broadcast, mpsc, watch};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::config::Protocol;
    use crate::telemetry::payload::OauthProvider;
    use crate::upstream::approvals::Approvals;
    use crate::upstream::isolation::Isolator;
    use crate::upstream::oauth::token_store::TokenStore;
    use crate::upstream::retries::Retries;
    use crate::upstream::session::client_handler::Client;
    use crate::upstream::session::in_flight::SharedInFlight;
    use crate::upstream::session::protocol_version::Lifecycle;
    use crate::upstream::session::router::RoutingTransport;
    use crate::upstream::snapshot::Snapshot;
    use crate::upstream::transport::stdio;
    use crate::upstream::transport::stray_output::{DEFAULT_LIMIT, StrayOutput};

    /// A request of a test to the server in memory.
    enum Does {
        /// Has these tools from now on, and reports the change.
        Tools(&'static [&'static str]),
        /// Answers no request any more.
        FallSilent,
        /// Ends.
        End,
    }

    /// One server in memory, with an attempt to connect after the other.
    struct InMemory {
        began: Instant,
        /// Errors of the next attempts; each attempt after them opens a session.
        errors: Mutex<VecDeque<ConnectError>>,
        /// When each attempt began, in seconds.
        attempts: Mutex<Vec<u64>>,
        /// Controls the server of the latest session.
        server: Mutex<Option<mpsc::UnboundedSender<Does>>>,
    }

    impl InMemory {
        fn tell(&self, does: Does) {
            self.server.lock().unwrap().as_ref().unwrap().send(does).unwrap();
        }

        fn attempts(&self) -> Vec<u64> {
            self.attempts.lock().unwrap().clone()
        }
    }

    impl Connect for Arc<InMemory> {
        async fn connect(&self, _: &ServerConfig, _: &ServerHandles) -> Result<Session, ConnectError> {
            self.attempts.lock().unwrap().push(self.began.elapsed().as_secs());
            if let Some(error) = self.errors.lock().unwrap().pop_front() {
                return Err(error);
            }
            let ((says, output), (input, reads)) = (duplex(1 << 16), duplex(1 << 16));
            let (orders, does) = mpsc::unbounded_channel();
            let (ended, end) = oneshot::channel();
            *self.server.lock().unwrap() = Some(orders);
            tokio::spawn(serve_in_memory(BufReader::new(reads), says, does, ended));
            let in_flight = SharedInFlight::default();
            let (fast_path, transport) =
                stdio::open("a", output, input, in_flight.clone(), StrayOutput::new(DEFAULT_LIMIT));
            let transport = RoutingTransport::new(transport, "a", in_flight, broadcast::channel(8).0);
            let changed = Arc::new(Notify::new());
            let client = Client {
                changed: changed.clone(),
            };
            let service = client.serve_with_lifecycle(transport, Lifecycle::Initialize.mode()).await.unwrap();
            let tools = list_tools(service.peer(), Some(&fast_path), "a").await?;
            Ok(Session {
                protocol: Protocol::Http,
                service,
                process: None,
                end: Some(end),
                fast_path: Some(fast_path),
                tools,
                changed,
            })
        }
    }

    /// Answers `initialize`, `ping` and `tools/list`, one line each.
    async fn serve_in_memory(
        mut reads: BufReader<DuplexStream>,
        mut says: DuplexStream,
        mut does: mpsc::UnboundedReceiver<Does>,
        ended: oneshot::Sender<String>,
    ) {
        let (mut tools, mut silent): (&[&str], bool) = (&["one"], false);
        loop {
            let mut line = String::new();
            let said = tokio::select! {
                order = does.recv() => match order {
                    Some(Does::Tools(names)) => {
                        tools = names;
                        Some(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
                    }
                    Some(Does::FallSilent) => {
                        silent = true;
                        None
                    }
                    Some(Does::End) => {
                        let _ = ended.send("it has ended".to_owned());
                        return;
                    }
                    None => return,
                },
                read = reads.read_line(&mut line) => {
                    let Ok(1..) = read else { return };
                    let request: Value = serde_json::from_str(&line).unwrap();
                    answer(&request, tools).filter(|_| !silent)
                }
            };
            if let Some(said) = said {
                says.write_all(format!("{said}\n").as_bytes()).await.unwrap();
            }
        }
    }

    fn answer(request: &Value, tools: &[&str]) -> Option<Value> {
        let tool = |name: &&str| json!({"name": name, "inputSchema": {"type": "object"}});
        let result = match request["method"].as_str()? {
            "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "memory", "version": "1"}}),
            "tools/list" => json!({"tools": tools.iter().map(tool).collect::<Vec<_>>()}),
            _ => json!({}),
        };
        Some(json!({"jsonrpc": "2.0", "id": request.get("id")?, "result": result}))
    }

    /// A supervised server in memory.
    struct Supervised {
        server: Arc<InMemory>,
        state: Arc<watch::Sender<Snapshot>>,
        restart: Arc<Notify>,
        retries: Arc<Retries>,
        stop: CancellationToken,
        task: JoinHandle<()>,
        _directory: tempfile::TempDir,
    }

    impl Supervised {
        fn begin(errors: impl IntoIterator<Item = ConnectError>) -> Supervised {
            let directory = tempfile::tempdir().unwrap();
            let config = Arc::new(ServerConfig {
                name: "a".to_owned(),
                command: Some("in-memory".to_owned()),
                enabled: true,
                ..ServerConfig::default()
            });
            let state = Arc::new(watch::Sender::new(Snapshot::new(config.clone(), Phase::Connecting)));
            let (restart, stop) = (Arc::<Notify>::default(), CancellationToken::new());
            let retries = Arc::<Retries>::default();
            let handles = ServerHandles {
                state: state.clone(),
                approvals: Arc::new(Approvals::load(&directory.path().join("approvals.json"))),
                tokens: Arc::new(TokenStore::load(&directory.path().join("tokens.json"), None, Arc::default())),
                counts: Arc::default(),
                connection: watch::Sender::new(None),
                restart: restart.clone(),
                health_check: Arc::default(),
                session_error: Arc::default(),
                stop: stop.clone(),
                isolator: Arc::new(Isolator::new(directory.path())),
                broadcasts: broadcast::channel(8).0,
                subscriptions: Arc::default(),
                starts: Arc::new(Semaphore::new(1)),
                retries: retries.clone(),
            };
            let server = Arc::new(InMemory {
                began: Instant::now(),
                errors: Mutex::new(errors.into_iter().collect()),
                attempts: Mutex::default(),
                server: Mutex::default(),
            });
            let connector = server.clone();
            let task = tokio::spawn(async move { supervise(config, &connector, handles).await });
            Supervised {
                server,
                state,
                restart,
                retries,
                stop,
                task,
                _directory: directory,
            }
        }

        async fn until(&self, reached: impl FnMut(&Snapshot) -> bool) -> Snapshot {
            self.state.subscribe().wait_for(reached).await.unwrap().clone()
        }

        async fn end(self) {
            self.stop.cancel();
            self.task.await.unwrap();
        }
    }

    fn failed(count: usize) -> impl Iterator<Item = ConnectError> {
        std::iter::repeat_n(ConnectError::Failed("no".into()), count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_retried_more_and_more_slowly_until_it_works() {
        let supervised = Supervised::begin(failed(4));
        let failing = supervised.until(|state| state.retries == 3).await;
        assert_eq!(failing.phase, Phase::Failed("no".into()));
        let connected = supervised.until(Snapshot::is_connected).await;
        assert_eq!(supervised.server.attempts(), [0, 1, 3, 7, 15]);
        assert_eq!((connected.retries, connected.last_failure, connected.reconnects), (0, None, 0));
        assert_eq!(connected.identity, Some(("memory".into(), "1".into())));
        supervised.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_connects_at_once_and_resets_the_pauses() {
        let supervised = Supervised::begin(failed(6));
        supervised.until(|state| state.retries == 4).await;
        supervised.restart.notify_one();
        supervised.until(Snapshot::is_connected).await;
        // The fourth pause of 8 s does not pass; the next ones are 1 s and 2 s again.
        assert_eq!(supervised.server.attempts(), [0, 1, 3, 7, 7, 8, 10]);
        supervised.restart.notify_one();
        let again = supervised.until(|state| state.is_connected() && state.reconnects == 1).await;
        assert_eq!(again.retries, 0);
        supervised.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_does_not_wait_for_the_retries_of_other_servers() {
        let supervised = Supervised::begin(failed(2));
        for _ in 0..1000 {
            supervised.retries.plan(false, Duration::ZERO);
        }
        supervised.until(|state| state.retries == 1).await;
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(supervised.server.attempts(), [0], "its retry has its turn after those of the others");
        supervised.restart.notify_one();
        supervised.until(|state| state.retries == 2).await;
        assert_eq!(supervised.server.attempts(), [0, 50]);
        supervised.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_requires_sign_in_is_not_tried_again_by_itself() {
        let supervised = Supervised::begin([ConnectError::SignIn(None)]);
        supervised.state.send_modify(|state| state.sign_in.provider = Some(OauthProvider::Generic));
        let waiting = supervised.until(|state| state.phase == Phase::SignInNeeded(None)).await;
        assert!(waiting.sign_in.expired && waiting.failed_at.is_some());
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        assert_eq!(supervised.server.attempts(), [0]);
        supervised.restart.notify_one();
        supervised.until(Snapshot::is_connected).await;
        assert_eq!(supervised.server.attempts(), [0, 24 * 3600]);
        supervised.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_noticed_by_its_missing_pong_and_connected_again() {
        let supervised = Supervised::begin([]);
        supervised.until(Snapshot::is_connected).await;
        // Several pings are answered.
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(supervised.server.attempts(), [0]);
        supervised.server.tell(Does::FallSilent);
        let failed = supervised.until(|state| matches!(state.phase, Phase::Failed(_))).await;
        let expected = Failure::new(Fault::NoPong, "no reply to a ping within 10 s");
        assert_eq!(failed.phase, Phase::Failed(expected));
        supervised.until(Snapshot::is_connected).await;
        // The ping after 240 s, its limit, and the shortest pause: closing a silent server may take 2 s more.
        let again = supervised.server.attempts()[1];
        assert!((251..=253).contains(&again), "{again}");
        supervised.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ends_soon_does_not_reset_the_pauses() {
        let supervised = Supervised::begin(failed(3));
        for expected in [4, 5] {
            supervised.until(Snapshot::is_connected).await;
            supervised.server.tell(Does::End);
            supervised.until(|state| matches!(state.phase, Phase::Failed(_))).await;
            assert_eq!(supervised.server.attempts().len(), expected);
        }
        supervised.until(Snapshot::is_connected).await;
        let attempts = supervised.server.attempts();
        // 7 s of pauses, then 8 s and 16 s.
        assert_eq!(attempts[..4], [0, 1, 3, 7]);
        assert!(attempts[4] >= 15 && attempts[5] >= attempts[4] + 16, "{attempts:?}");
        supervised.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_tool_waits_for_approval_and_a_removed_one_disappears() {
        let supervised = Supervised::begin([]);
        let names = |state: &Snapshot| state.tools().iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>();
        let connected = supervised.until(Snapshot::is_connected).await;
        assert_eq!(names(&connected), ["one"]);
        supervised.server.tell(Does::Tools(&["one", "two"]));
        let changed = supervised.until(|state| !state.pending_tools().is_empty()).await;
        assert_eq!((names(&changed), changed.pending_tools()[0].tool.name.as_ref()), (vec!["one".to_owned()], "two"));
        supervised.server.tell(Does::Tools(&[]));
        let empty = supervised.until(|state| state.tools().is_empty() && state.pending_tools().is_empty()).await;
        assert!(empty.is_connected());
        supervised.end().await;
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let mut backoff = Backoff::RESET;
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                let pause = backoff.0.as_secs();
                backoff = backoff.next();
                pause
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn only_failures_that_may_pass_are_retried() {
        assert_eq!(Next::after(None), Next::Now);
        assert_eq!(Next::after(Some(ConnectError::NoInitialize("x".into()))), Next::Retry("x".into()));
        let sign_in = Next::after(Some(ConnectError::SignIn(Some("Bearer".into()))));
        assert_eq!(sign_in, Next::WaitFor(Phase::SignInNeeded(Some("Bearer".into()))));
        assert_eq!(Next::after(Some(ConnectError::Locked("x".into()))), Next::WaitFor(Phase::Failed("x".into())));
    }

    #[tokio::test]
    async fn at_most_so_many_servers_start_at_the_same_time() {
        let slots = Arc::new(Semaphore::new(1));
        let slot = || async { slots.clone().acquire_owned().await.ok() };
        let (done, wait) = oneshot::channel::<()>();
        let first = with_slot(slot(), wait, || {});
        let second = with_slot(slot(), std::future::ready(()), || {});
        let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
        done.send(()).unwrap();
        assert!(first.await.is_ok());
        second.await;
    }
}
