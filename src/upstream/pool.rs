//! All upstream servers: one task each, added, removed and restarted without touching the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, ErrorCode, JsonObject, ServerResult, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::os::memory;
use crate::upstream::admission::Admission;
use crate::upstream::approvals::{Approvals, PendingTool};
use crate::upstream::error::{ApproveError, CallError, not_answered};
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::resolve::inactive_phase;
use crate::upstream::server_handles::{Connection, ServerHandles};
use crate::upstream::session::in_flight::{CallEvents, CallHandle, ServerEvent, SessionId};
use crate::upstream::session::multi_round_trip;
use crate::upstream::session::pending::Sent;
use crate::upstream::session::router::Broadcast;
use crate::upstream::session::subscriptions::Subscriptions;
use crate::upstream::snapshot::{Phase, Snapshot};
use crate::upstream::supervise::run;
use crate::upstream::transport::http_error;
use crate::upstream::transport::stdio::StdioFastPath;

/// How many things that servers say to everybody may wait for a session that is slow to take them.
const NEWS_KEPT: usize = 256;

/// The servers of this core.
pub struct UpstreamPool {
    pub servers: RwLock<BTreeMap<String, Upstream>>,
    logs: PathBuf,
    approvals: Arc<Approvals>,
    pub tokens: Arc<TokenStore>,
    changes: Arc<watch::Sender<u64>>,
    news: broadcast::Sender<Broadcast>,
    subscriptions: Arc<Mutex<Subscriptions>>,
    sessions: AtomicU64,
    admission: Admission,
}

pub struct Upstream {
    pub config: Arc<ServerConfig>,
    pub state: Arc<watch::Sender<Snapshot>>,
    pub connection: watch::Receiver<Option<Connection>>,
    pub restart: Arc<Notify>,
    pub health_check: Arc<Notify>,
    /// Held while a sign-in is begun: two clicks begin one.
    pub signing_in: Arc<tokio::sync::Mutex<()>>,
    pub stop: CancellationToken,
    /// What runs it; nothing while the one that had its name ends.
    pub task: Option<JoinHandle<()>>,
}

/// How a tool is reached.
#[derive(Debug)]
pub enum Route {
    /// Past the library.
    Fast(StdioFastPath),
    Library,
}

impl UpstreamPool {
    /// No servers yet; each one's log goes to `logs`.
    pub fn new(logs: &Path, approvals: Approvals, tokens: TokenStore) -> UpstreamPool {
        UpstreamPool {
            servers: RwLock::default(),
            logs: logs.to_path_buf(),
            approvals: Arc::new(approvals),
            tokens: Arc::new(tokens),
            changes: Arc::new(watch::Sender::new(0)),
            news: broadcast::Sender::new(NEWS_KEPT),
            subscriptions: Arc::default(),
            sessions: AtomicU64::new(0),
            admission: Admission::default(),
        }
    }

    /// Which calls run now.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// What clients may see has changed, although no server has.
    pub fn announce(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// What has been approved.
    pub fn approvals(&self) -> Arc<Approvals> {
        self.approvals.clone()
    }

    /// What servers say to everybody, from now on.
    pub fn news(&self) -> broadcast::Receiver<Broadcast> {
        self.news.subscribe()
    }

    /// A client's session begins.
    pub fn new_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    pub fn subscriptions(&self) -> std::sync::MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions of all servers that are connected.
    pub fn peers(&self) -> Vec<(String, Peer<RoleClient>)> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers
            .iter()
            .filter_map(|(name, server)| Some((name.clone(), server.connection.borrow().as_ref()?.peer.clone())))
            .collect()
    }

    /// A number that rises with every change of any server.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Makes the running servers those of the configuration: unchanged ones are not touched.
    pub async fn apply(&self, configs: &[ServerConfig]) {
        let mut gone = Vec::new();
        {
            let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
            let names: Vec<String> = servers.keys().cloned().collect();
            for name in names {
                let wanted = configs.iter().find(|config| config.name == name);
                if let Some(wanted) = wanted
                    && let Some(server) = servers.get_mut(&name)
                    && server.config.differs_in_switches_only(wanted)
                {
                    server.config = Arc::new(wanted.clone());
                    server.state.send_modify(|state| state.switch(server.config.clone()));
                } else if servers.get(&name).is_some_and(|server| wanted != Some(&server.config)) {
                    gone.extend(servers.remove(&name));
                    // It is listed while the one of before ends, which may take seconds.
                    servers.extend(wanted.map(|config| (name, Upstream::awaited(config.clone()))));
                }
            }
        }
        self.changes.send_modify(|changes| *changes += 1);
        end(gone).await;
        let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
        self.tokens.forget_others(&names);
        self.approvals.forget_imports_of_others(&names);
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        for config in configs {
            if servers.get(&config.name).is_none_or(|server| server.task.is_none()) {
                servers.insert(config.name.clone(), self.start(config.clone()));
            }
        }
        drop(servers);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Ends every server and waits until no process of theirs is left.
    pub async fn stop(&self) {
        let servers = std::mem::take(&mut *self.servers.write().unwrap_or_else(PoisonError::into_inner));
        end(servers.into_values().collect()).await;
    }

    /// Starts a server again. `false` when there is none of that name.
    pub fn restart(&self, name: &str) -> bool {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers.get(name).map(|server| server.restart.notify_one()).is_some()
    }

    /// One server.
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers.get(name).map(|server| server.state.borrow().clone())
    }

    /// Whether a server of this name is configured.
    pub fn has(&self, name: &str) -> bool {
        self.servers.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// Every server, by name.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers.values().map(|server| server.state.borrow().clone()).collect()
    }

    /// Approves tools of a server as they are now, or all of them; says which ones had waited.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub fn approve(&self, server: &str, names: Option<&[String]>) -> Result<Vec<String>, ApproveError> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let found = servers.get(server).ok_or_else(|| ApproveError::UnknownServer(server.to_owned()))?;
        let snapshot = found.state.borrow().clone();
        for name in names.unwrap_or_default() {
            if !snapshot.has_tool(name) {
                return Err(ApproveError::UnknownTool {
                    server: server.to_owned(),
                    tool: name.clone(),
                });
            }
        }
        let meant = |held: &&PendingTool| names.is_none_or(|names| names.iter().any(|name| held.tool.name == *name));
        let chosen: Vec<PendingTool> = snapshot.held().iter().filter(meant).cloned().collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        self.approvals.approve(server, &chosen)?;
        found.state.send_modify(|state| state.open(&chosen));
        Ok(chosen.iter().map(|held| held.tool.name.to_string()).collect())
    }

    /// Approves exactly these definitions: tools by name, each with the fingerprint of what was shown.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub fn approve_exactly(&self, server: &str, shown: &BTreeMap<String, String>) -> Result<Vec<String>, ApproveError> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let found = servers.get(server).ok_or_else(|| ApproveError::UnknownServer(server.to_owned()))?;
        let snapshot = found.state.borrow().clone();
        let (mut chosen, mut changed) = (Vec::new(), Vec::new());
        for (name, fingerprint) in shown {
            let current = snapshot.tool_approvals().into_iter().find(|tool| tool.tool.name == name.as_str());
            if current.is_none_or(|tool| tool.fingerprint.hash(name) != *fingerprint) {
                changed.push(format!("`{name}`"));
            }
            chosen.extend(snapshot.held().iter().filter(|held| held.tool.name == name.as_str()).cloned());
        }
        if !changed.is_empty() {
            let server = server.to_owned();
            return Err(ApproveError::Changed { server, tools: changed });
        }
        if !chosen.is_empty() {
            self.approvals.approve(server, &chosen)?;
            found.state.send_modify(|state| state.open(&chosen));
        }
        Ok(chosen.iter().map(|held| held.tool.name.to_string()).collect())
    }

    /// A connected server's tool.
    ///
    /// # Errors
    /// [`CallError`] that says why there is none.
    pub fn tool(&self, server: &str, tool: &str) -> Result<Tool, CallError> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = servers.get(server) else {
            let known: Vec<&str> = servers.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(CallError::UnknownServer {
                server: server.to_owned(),
                known,
            });
        };
        let snapshot = found.state.borrow();
        let name = server.to_owned();
        match &snapshot.phase {
            Phase::Disabled => Err(CallError::Disabled(name)),
            Phase::Quarantined => Err(CallError::Quarantined(name)),
            Phase::Connecting => Err(CallError::Connecting(name)),
            Phase::SignInNeeded(_) => Err(CallError::SignInNeeded(name)),
            Phase::Failed(_) | Phase::Misconfigured(_) | Phase::MissingEnvVar(_) => Err(CallError::NotConnected {
                server: name,
                reason: snapshot.last_error().unwrap_or_default(),
            }),
            Phase::Connected(tools) => {
                let tool = tool.to_owned();
                let open = tools.iter().find(|found| found.name == tool).cloned();
                open.ok_or_else(|| match snapshot.held().iter().find(|held| held.tool.name == tool) {
                    _ if snapshot.off().is_some_and(|off| off.has(&tool)) => {
                        CallError::SwitchedOff { server: name, tool }
                    }
                    Some(held) => CallError::PendingTool {
                        server: name,
                        tool,
                        changed: held.before.is_some(),
                    },
                    None => CallError::UnknownTool { server: name, tool },
                })
            }
        }
    }

    /// The session of a server that is connected.
    ///
    /// # Errors
    /// [`CallError::Connecting`] where there is none now.
    pub fn peer(&self, server: &str) -> Result<Peer<RoleClient>, CallError> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let peer = servers.get(server).and_then(|server| Some(server.connection.borrow().as_ref()?.peer.clone()));
        peer.ok_or_else(|| CallError::Connecting(server.to_owned()))
    }

    /// How a tool is reached that is approved, of a server that is connected, if it fits.
    pub fn route(&self, server: &str, tool: &str, fits: impl FnOnce(&Tool) -> bool) -> Option<Route> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let server = servers.get(server)?;
        let state = server.state.borrow();
        let tool = state.tools().iter().find(|found| found.name == tool)?;
        if !fits(tool) {
            return Some(Route::Library);
        }
        let shortcut = server.connection.borrow().as_ref().and_then(|connection| connection.shortcut.clone());
        Some(shortcut.map_or(Route::Library, Route::Fast))
    }

    /// Calls a tool for somebody who cannot be asked.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        server: &str,
        tool: &str,
        arguments: JsonObject,
        limit: Duration,
    ) -> Result<ServerResult, CallError> {
        self.tool(server, tool)?;
        let peer = self.peer(server)?;
        let server = server.to_owned();
        // An empty object and never `null`: servers reject the latter.
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
        let (caller, hearing) = CallHandle::of(self.new_session());
        let sent = multi_round_trip::send(&peer, request, caller).await.map_err(|error| self.failed(&server, error))?;
        self.follow(server, sent, hearing, limit).await
    }

    async fn follow(
        &self,
        server: String,
        mut sent: Sent,
        mut hearing: CallEvents,
        limit: Duration,
    ) -> Result<ServerResult, CallError> {
        let mut until = std::pin::pin!(tokio::time::sleep(limit));
        let answer = loop {
            tokio::select! {
                biased;
                Some(said) = hearing.recv() => refuse(said),
                answer = sent.answer() => break answer,
                () = &mut until => {
                    let error = CallError::Timeout { server, limit };
                    sent.cancel(&error.to_string()).await;
                    return Err(error);
                }
            }
        };
        answer.map_err(|error| self.failed(&server, error))
    }

    /// What it means that a request came back without a result. A server that could not be spoken to is looked at.
    pub fn failed(&self, server: &str, error: ServiceError) -> CallError {
        match error {
            ServiceError::TransportClosed | ServiceError::TransportSend(_) => {
                self.health_check(server);
                let server = server.to_owned();
                match &error {
                    ServiceError::TransportSend(error)
                        if let Some(status) = http_error::refused(error.error.as_ref()) =>
                    {
                        let error = format!("it refuses the request ({status})");
                        CallError::Other { server, error }
                    }
                    _ => CallError::Ended { server },
                }
            }
            error => not_answered(server, error),
        }
    }

    /// Has a server looked at that could not be spoken to.
    fn health_check(&self, server: &str) {
        if let Some(upstream) = self.servers.read().unwrap_or_else(PoisonError::into_inner).get(server) {
            upstream.health_check.notify_one();
        }
    }

    /// Where a server's own words are.
    pub fn log_of(&self, server: &str) -> PathBuf {
        log_file(&self.logs, server)
    }

    fn start(&self, config: ServerConfig) -> Upstream {
        let config = Arc::new(config);
        let state = Arc::new(beginning(&config));
        let (connection, reached_seen) = watch::channel(None);
        let restart = Arc::new(Notify::new());
        let health_check = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let handles = ServerHandles {
            state: state.clone(),
            approvals: self.approvals.clone(),
            tokens: self.tokens.clone(),
            connection,
            restart: restart.clone(),
            health_check: health_check.clone(),
            stop: stop.clone(),
            news: self.news.clone(),
            subscriptions: self.subscriptions.clone(),
        };
        let log = self.log_of(&config.name);
        let task = tokio::spawn(run(config.clone(), log, handles));
        tokio::spawn(tell(state.subscribe(), self.changes.clone()));
        Upstream {
            config,
            state,
            connection: reached_seen,
            restart,
            health_check,
            signing_in: Arc::default(),
            stop,
            task: Some(task),
        }
    }
}

impl Upstream {
    /// One that is not started yet.
    fn awaited(config: ServerConfig) -> Upstream {
        let config = Arc::new(config);
        Upstream {
            state: Arc::new(beginning(&config)),
            config,
            connection: watch::channel(None).1,
            restart: Arc::default(),
            health_check: Arc::default(),
            signing_in: Arc::default(),
            stop: CancellationToken::new(),
            task: None,
        }
    }
}

/// What is known of a server that has just been configured.
fn beginning(config: &Arc<ServerConfig>) -> watch::Sender<Snapshot> {
    let phase = inactive_phase(config).unwrap_or(Phase::Connecting);
    watch::Sender::new(Snapshot::new(config.clone(), phase))
}

/// Answers what a server asks while nobody can be asked.
fn refuse(said: ServerEvent) {
    if let ServerEvent::Question(question) = said {
        let text = "this call was made over REST or by `mcpproxy call`, where nobody can be asked";
        let refusal = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None);
        let _ = question.answer.send(Err(refusal));
    }
}

/// Raises the common number whenever one server's state changes; ends with that server's task.
async fn tell(mut state: watch::Receiver<Snapshot>, changes: Arc<watch::Sender<u64>>) {
    while state.changed().await.is_ok() {
        changes.send_modify(|changes| *changes += 1);
    }
}

async fn end(servers: Vec<Upstream>) {
    if servers.is_empty() {
        return;
    }
    for server in &servers {
        server.stop.cancel();
    }
    for task in servers.into_iter().filter_map(|server| server.task) {
        let _ = task.await;
    }
    // Thousands of tools may have gone with them.
    let _ = tokio::task::spawn_blocking(memory::give_back).await;
}

/// The log of a server in this directory.
pub fn log_file(logs: &Path, server: &str) -> PathBuf {
    logs.join(format!("server-{}.log", file_name(server)))
}

/// A server's name as part of a file's name: what could leave the directory or a Windows name becomes `_`.
pub fn file_name(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = name.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
    text.trim_start_matches('.').to_owned()
}
