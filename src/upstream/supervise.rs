//! Keeps one server running: connects, serves until its end and retries with back-off.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ClientRequest, PingRequest, ServerNotification, SubscriptionFilter, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::error::Elapsed;
use tokio_util::task::AbortOnDropHandle;

use crate::config::ServerConfig;
use crate::config::trust::Trust;
use crate::diagnostics::fault::{ConnectFailure, Failure, Fault};
use crate::telemetry::usage_counts::{Counter, UsageCounts};
use crate::upstream::connect::{FIRST_ANSWER, Session, connect};
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

/// Runs until `handles.stop`; the process has ended when this returns.
pub async fn run(config: Arc<ServerConfig>, log: PathBuf, handles: ServerHandles) {
    let mut backoff = Backoff::RESET;
    let mut connections = 0;
    while !handles.stop.is_cancelled() {
        handles.waits(ServerStep::Secrets, None);
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
                // Nothing has changed but the time: clients and the tray show now that it takes long.
                let slow = || handles.state.send_modify(|_| {});
                let attempt = tokio::select! {
                    () = handles.stop.cancelled() => return,
                    attempt = with_slot(&handles.starts, connect(&resolved, &log, &handles), slow) => attempt,
                };
                handles.waits_no_longer();
                handles.state.send_modify(|state| state.attempt = None);
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
                handles.waits_no_longer();
                note_waiting(phase, &config, &handles);
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => {}
                }
            }
            Next::Retry(error) => {
                tracing::warn!(server = config.name, "{error}");
                handles.waits(ServerStep::NextAttempt, Some(backoff.0));
                handles.state.send_modify(|state| state.note_failure(error));
                tokio::select! {
                    () = handles.stop.cancelled() => return,
                    () = handles.restart.notified() => backoff = Backoff::RESET,
                    () = tokio::time::sleep(backoff.0) => backoff = backoff.next(),
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

/// Runs an attempt in one of the slots for starting servers. If it takes long, gives the slot back and reports it.
async fn with_slot<T>(slots: &Semaphore, attempt: impl Future<Output = T>, slow: impl FnOnce()) -> T {
    let slot = slots.acquire().await;
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
        state.failed_at = Some(jiff::Timestamp::now());
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
    let _ = tokio::time::timeout(Duration::from_secs(2), service.close()).await;
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
    use super::*;

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
        let slots = Semaphore::new(1);
        let (done, wait) = oneshot::channel::<()>();
        let first = with_slot(&slots, wait, || {});
        let second = with_slot(&slots, std::future::ready(()), || {});
        let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
        done.send(()).unwrap();
        assert!(first.await.is_ok());
        second.await;
    }
}
