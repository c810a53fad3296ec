//! Keeps one upstream server going: start, initialise, list its tools, wait for its end, start again with back-off.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ClientRequest, PingRequest, ServerNotification, SubscriptionFilter, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::{Notify, oneshot};
use tokio::time::error::Elapsed;
use tokio_util::task::AbortOnDropHandle;

use crate::config::ServerConfig;
use crate::upstream::connect::{FIRST_ANSWER, Session, connect};
use crate::upstream::connect_error::ConnectError;
use crate::upstream::list::list_tools;
use crate::upstream::process::Process;
use crate::upstream::resolve::{inactive_phase, resolved};
use crate::upstream::server_handles::{Connection, ServerHandles};
use crate::upstream::session::multi_round_trip::is_stateless;
use crate::upstream::session::sync_subscriptions::sync_all;
use crate::upstream::snapshot::Phase;
use crate::upstream::transport::http_error;
use crate::upstream::transport::stdio::StdioFastPath;

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
            said = end_of_stream(end.as_mut()) => break Some(http_error::ended(config, &said)),
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
            Some(said) => http_error::ended(config, &said),
            None => http_error::not_sent(config, &error),
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
