//! All upstream servers: one task each, added, removed and restarted without touching the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use rmcp::model::Tool;
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::contract::server_log;
use crate::os::memory;
use crate::os::sync::{lock, read, write};
use crate::telemetry::usage_counts::UsageCounts;
use crate::upstream::admission::Admission;
use crate::upstream::approvals::{Approvals, PendingTool};
use crate::upstream::changes::Changes;
use crate::upstream::connect_error::ConnectError;
use crate::upstream::error::{ApproveError, CallError, not_answered};
use crate::upstream::isolation::Isolator;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::resolve::inactive_phase;
use crate::upstream::retries::Retries;
use crate::upstream::server_handles::{Connection, ServerHandles, SessionError};
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::session::router::Broadcast;
use crate::upstream::session::subscriptions::Subscriptions;
use crate::upstream::snapshot::{Phase, Snapshot};
use crate::upstream::supervise::run;
use crate::upstream::transport::http_error;
use crate::upstream::transport::stdio::StdioFastPath;
use crate::upstream::waiting::WaitingCalls;

/// Broadcasts kept for a session that is slow to take them.
const BROADCASTS_KEPT: usize = 256;
/// Servers that may start at the same time, apart from retries: each may run a package manager.
const CONCURRENT_STARTS: usize = 8;

/// The servers of this core.
pub struct UpstreamPool {
    pub servers: RwLock<BTreeMap<String, Upstream>>,
    logs: PathBuf,
    isolator: Arc<Isolator>,
    approvals: Arc<Approvals>,
    pub tokens: Arc<TokenStore>,
    changes: Arc<Changes>,
    broadcasts: broadcast::Sender<Broadcast>,
    subscriptions: Arc<Mutex<Subscriptions>>,
    sessions: AtomicU64,
    admission: Admission,
    counts: Arc<UsageCounts>,
    waiting_calls: Arc<WaitingCalls>,
    starts: Arc<Semaphore>,
    retries: Arc<Retries>,
}

pub struct Upstream {
    pub config: Arc<ServerConfig>,
    pub state: Arc<watch::Sender<Snapshot>>,
    pub connection: watch::Receiver<Option<Connection>>,
    pub restart: Arc<Notify>,
    pub health_check: Arc<Notify>,
    pub session_error: Arc<SessionError>,
    /// Held while a sign-in begins: two clicks begin one.
    pub signing_in: Arc<tokio::sync::Mutex<()>>,
    pub stop: CancellationToken,
    /// Its task; `None` while an older instance of the same name shuts down.
    pub task: Option<JoinHandle<()>>,
}

/// How a tool call is sent.
#[derive(Debug)]
pub enum Route {
    /// On the fast path.
    Fast(StdioFastPath),
    Library,
}

impl UpstreamPool {
    /// An empty pool; server logs go to `logs`.
    pub fn new(
        data_directory: &Path,
        logs: &Path,
        approvals: Approvals,
        tokens: TokenStore,
        counts: Arc<UsageCounts>,
    ) -> UpstreamPool {
        UpstreamPool {
            servers: RwLock::default(),
            logs: logs.to_path_buf(),
            isolator: Arc::new(Isolator::new(data_directory)),
            approvals: Arc::new(approvals),
            tokens: Arc::new(tokens),
            changes: Arc::default(),
            broadcasts: broadcast::Sender::new(BROADCASTS_KEPT),
            subscriptions: Arc::default(),
            sessions: AtomicU64::new(0),
            admission: Admission::default(),
            counts,
            waiting_calls: Arc::default(),
            starts: Arc::new(Semaphore::new(CONCURRENT_STARTS)),
            retries: Arc::default(),
        }
    }

    /// Which calls run now.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The calls in flight.
    pub fn waiting_calls(&self) -> &Arc<WaitingCalls> {
        &self.waiting_calls
    }

    /// Signals that the visible tools have changed although no server has.
    pub fn announce(&self) {
        self.changes.announce();
    }

    /// The approved tools.
    pub fn approvals(&self) -> Arc<Approvals> {
        self.approvals.clone()
    }

    /// Prepares and explains the isolation of servers.
    pub fn isolator(&self) -> Arc<Isolator> {
        self.isolator.clone()
    }

    /// Messages of servers to every session, from now on.
    pub fn broadcasts(&self) -> broadcast::Receiver<Broadcast> {
        self.broadcasts.subscribe()
    }

    /// A new session of a client.
    pub fn new_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    pub fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        lock(&self.subscriptions)
    }

    /// The sessions of all connected servers.
    pub fn peers(&self) -> Vec<(String, Peer<RoleClient>)> {
        let servers = read(&self.servers);
        servers
            .iter()
            .filter_map(|(name, server)| Some((name.clone(), server.connection.borrow().as_ref()?.peer.clone())))
            .collect()
    }

    /// A counter that increases with every change of any server.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.all()
    }

    /// A counter that increases when the tools that clients can use may have changed: retries of failing servers do not count.
    pub fn tool_changes(&self) -> watch::Receiver<u64> {
        self.changes.of_tools()
    }

    /// Starts, restarts and stops servers to match the configuration; unchanged ones are not touched.
    pub async fn apply(&self, configs: &[ServerConfig]) {
        let mut gone = Vec::new();
        {
            // The first of two entries with the same name counts.
            let by_name: BTreeMap<&str, &ServerConfig> =
                configs.iter().rev().map(|config| (config.name.as_str(), config)).collect();
            let mut servers = write(&self.servers);
            let names: Vec<String> = servers.keys().cloned().collect();
            for name in names {
                let wanted = by_name.get(name.as_str()).copied();
                if let Some(wanted) = wanted
                    && let Some(server) = servers.get_mut(&name)
                    && server.config.differs_in_switches_only(wanted)
                {
                    server.config = Arc::new(wanted.clone());
                    server.state.send_modify(|state| state.switch(server.config.clone()));
                } else if servers.get(&name).is_some_and(|server| wanted != Some(&server.config)) {
                    gone.extend(servers.remove(&name));
                    // Keeps the entry visible while the old instance shuts down, which may take seconds.
                    servers.extend(wanted.map(|config| (name, Upstream::awaited(config.clone()))));
                }
            }
        }
        self.announce();
        end(gone).await;
        let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
        self.tokens.forget_others(&names);
        self.approvals.forget_imports_of_others(&names);
        let mut servers = write(&self.servers);
        for config in configs {
            if servers.get(&config.name).is_none_or(|server| server.task.is_none()) {
                servers.insert(config.name.clone(), self.start(config.clone()));
            }
        }
        drop(servers);
        self.announce();
    }

    /// Stops every server and waits until all their processes have ended.
    pub async fn stop(&self) {
        let servers = std::mem::take(&mut *write(&self.servers));
        end(servers.into_values().collect()).await;
    }

    /// Restarts a server. `false` if there is none of that name.
    pub fn restart(&self, name: &str) -> bool {
        let servers = read(&self.servers);
        servers.get(name).map(|server| server.restart.notify_one()).is_some()
    }

    /// Approves tools of a server as they are now, or all of them; returns those that needed approval. Waits for the disk.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub fn approve(&self, server: &str, names: Option<&[String]>) -> Result<Vec<String>, ApproveError> {
        let state = self.state(server).ok_or_else(|| ApproveError::UnknownServer(server.to_owned()))?;
        let snapshot = state.borrow().clone();
        for name in names.unwrap_or_default() {
            if !snapshot.has_tool(name) {
                return Err(ApproveError::UnknownTool {
                    server: server.to_owned(),
                    tool: name.clone(),
                });
            }
        }
        let is_chosen =
            |tool: &&PendingTool| names.is_none_or(|names| names.iter().any(|name| tool.tool.name == *name));
        let chosen: Vec<PendingTool> = snapshot.pending_tools().iter().filter(is_chosen).cloned().collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        self.approvals.approve(server, &chosen)?;
        state.send_modify(|state| state.open(&chosen));
        Ok(chosen.iter().map(|tool| tool.tool.name.to_string()).collect())
    }

    /// The state of a server. The lock on all servers is not held while a caller works with it.
    fn state(&self, server: &str) -> Option<Arc<watch::Sender<Snapshot>>> {
        read(&self.servers).get(server).map(|server| server.state.clone())
    }

    /// Approves exactly these definitions: tools by name, each with the fingerprint of what was shown.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub fn approve_exactly(&self, server: &str, shown: &BTreeMap<String, String>) -> Result<Vec<String>, ApproveError> {
        let state = self.state(server).ok_or_else(|| ApproveError::UnknownServer(server.to_owned()))?;
        let snapshot = state.borrow().clone();
        let (mut chosen, mut changed) = (Vec::new(), Vec::new());
        for (name, fingerprint) in shown {
            let current = snapshot.tool_approvals().into_iter().find(|tool| tool.tool.name == name.as_str());
            if current.is_none_or(|tool| tool.fingerprint.hash(name) != *fingerprint) {
                changed.push(format!("`{name}`"));
            }
            chosen.extend(snapshot.pending_tools().iter().filter(|tool| tool.tool.name == name.as_str()).cloned());
        }
        if !changed.is_empty() {
            let server = server.to_owned();
            return Err(ApproveError::Changed { server, tools: changed });
        }
        if !chosen.is_empty() {
            self.approvals.approve(server, &chosen)?;
            state.send_modify(|state| state.open(&chosen));
        }
        Ok(chosen.iter().map(|tool| tool.tool.name.to_string()).collect())
    }

    /// A connected server's tool.
    ///
    /// # Errors
    /// [`CallError`]: why it cannot be called.
    pub fn tool(&self, server: &str, tool: &str) -> Result<Tool, CallError> {
        let servers = read(&self.servers);
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
            Phase::Connecting => Err(match snapshot.last_error() {
                Some(reason) => CallError::NotConnected { server: name, reason },
                None => CallError::Connecting(name),
            }),
            Phase::SignInNeeded(_) => Err(CallError::SignInNeeded(name)),
            Phase::Failed(_) | Phase::Misconfigured(_) | Phase::MissingEnvVar(_) => Err(CallError::NotConnected {
                server: name,
                reason: snapshot.last_error().unwrap_or_default(),
            }),
            Phase::Connected(tools) => {
                let tool = tool.to_owned();
                let open = tools.iter().find(|found| found.name == tool).cloned();
                open.ok_or_else(|| match snapshot.pending_tools().iter().find(|held| held.tool.name == tool) {
                    _ if snapshot.off().is_some_and(|off| off.has(&tool)) => {
                        CallError::SwitchedOff { server: name, tool }
                    }
                    Some(pending) => CallError::PendingTool {
                        server: name,
                        tool,
                        changed: pending.before.is_some(),
                    },
                    None => CallError::UnknownTool { server: name, tool },
                })
            }
        }
    }

    /// The session of a connected server.
    ///
    /// # Errors
    /// [`CallError::Connecting`] if there is none.
    pub fn peer(&self, server: &str) -> Result<Peer<RoleClient>, CallError> {
        let servers = read(&self.servers);
        let peer = servers.get(server).and_then(|server| Some(server.connection.borrow().as_ref()?.peer.clone()));
        peer.ok_or_else(|| CallError::Connecting(server.to_owned()))
    }

    /// How a call of an approved tool is sent; `None` if the tool cannot be called. Tools that do not fit take the library's path.
    pub fn route(&self, server: &str, tool: &str, fits: impl FnOnce(&Tool) -> bool) -> Option<Route> {
        let servers = read(&self.servers);
        let server = servers.get(server)?;
        let state = server.state.borrow();
        let tool = state.tools().iter().find(|found| found.name == tool)?;
        if !fits(tool) {
            return Some(Route::Library);
        }
        let fast_path = server.connection.borrow().as_ref().and_then(|connection| connection.fast_path.clone());
        Some(fast_path.map_or(Route::Library, Route::Fast))
    }

    /// Why a request has no result. A failed send may mean that the server is gone, or requires a sign-in.
    pub fn failed(&self, server: &str, error: ServiceError) -> CallError {
        let name = server.to_owned();
        match error {
            ServiceError::TransportClosed => {
                self.health_check(server);
                CallError::Ended { server: name }
            }
            ServiceError::TransportSend(error) => self.not_sent(server, error.error.as_ref()),
            error => not_answered(server, error),
        }
    }

    fn not_sent(&self, server: &str, error: &(dyn std::error::Error + 'static)) -> CallError {
        let name = server.to_owned();
        let found = {
            let servers = read(&self.servers);
            servers.get(server).map(|found| (found.config.clone(), found.session_error.clone()))
        };
        let Some((config, session_error)) = found else {
            return CallError::Ended { server: name };
        };
        if config.url.is_none() {
            return CallError::Ended { server: name };
        }
        match http_error::explained(&config, error) {
            error @ ConnectError::SignIn(_) => {
                session_error.report(error);
                CallError::SignInNeeded(name)
            }
            ConnectError::Failed(failure) | ConnectError::NoInitialize(failure) | ConnectError::Locked(failure) => {
                self.health_check(server);
                CallError::Other {
                    server: name,
                    error: failure.text,
                }
            }
        }
    }

    /// Requests a health check after a failed send.
    fn health_check(&self, server: &str) {
        if let Some(upstream) = read(&self.servers).get(server) {
            upstream.health_check.notify_one();
        }
    }

    /// The log file of a server.
    pub fn log_of(&self, server: &str) -> PathBuf {
        log_file(&self.logs, server)
    }

    fn start(&self, config: ServerConfig) -> Upstream {
        let config = Arc::new(config);
        let state = Arc::new(initial_state(&config));
        let (sender, connection) = watch::channel(None);
        let restart = Arc::new(Notify::new());
        let health_check = Arc::new(Notify::new());
        let session_error = Arc::<SessionError>::default();
        let stop = CancellationToken::new();
        let handles = ServerHandles {
            state: state.clone(),
            approvals: self.approvals.clone(),
            tokens: self.tokens.clone(),
            connection: sender,
            restart: restart.clone(),
            health_check: health_check.clone(),
            session_error: session_error.clone(),
            stop: stop.clone(),
            isolator: self.isolator.clone(),
            broadcasts: self.broadcasts.clone(),
            subscriptions: self.subscriptions.clone(),
            counts: self.counts.clone(),
            starts: self.starts.clone(),
            retries: self.retries.clone(),
        };
        let log = self.log_of(&config.name);
        tokio::spawn(self.changes.clone().follow(state.subscribe()));
        let task = tokio::spawn(run(config.clone(), log, handles));
        Upstream {
            config,
            state,
            connection,
            restart,
            health_check,
            session_error,
            signing_in: Arc::default(),
            stop,
            task: Some(task),
        }
    }
}

impl Upstream {
    /// An instance that starts once the old one has shut down.
    fn awaited(config: ServerConfig) -> Upstream {
        let config = Arc::new(config);
        Upstream {
            state: Arc::new(initial_state(&config)),
            config,
            connection: watch::channel(None).1,
            restart: Arc::default(),
            health_check: Arc::default(),
            session_error: Arc::default(),
            signing_in: Arc::default(),
            stop: CancellationToken::new(),
            task: None,
        }
    }
}

/// The state of a server that has just been configured.
fn initial_state(config: &Arc<ServerConfig>) -> watch::Sender<Snapshot> {
    let phase = inactive_phase(config).unwrap_or(Phase::Connecting);
    watch::Sender::new(Snapshot::new(config.clone(), phase))
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
    // Thousands of tools may have been freed.
    let _ = tokio::task::spawn_blocking(memory::give_back).await;
}

/// The log file of a server in this directory.
pub fn log_file(logs: &Path, server: &str) -> PathBuf {
    logs.join(server_log::file_name(server))
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use rmcp::model::JsonObject;

    use super::*;
    use crate::upstream::snapshot::DisabledTools;

    /// A server that answers every request without an id, and whose tool `echo` returns a text.
    const SERVER: &str = r#"
while read -r line; do
  case "$line" in
    *'"initialize"'*) printf '{"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}\n' ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":null,"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}],"nextCursor":""}}\n' ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":null,"result":{"content":[{"type":"text","text":"echo"}]}}\n' ;;
  esac
done
"#;

    fn pool(directory: &Path) -> UpstreamPool {
        let approvals = Approvals::load(&directory.join("approvals.json"));
        let tokens = TokenStore::load(&directory.join("tokens.json"), None, Arc::default());
        UpstreamPool::new(directory, directory, approvals, tokens, Arc::default())
    }

    fn shell(name: &str, script: &str) -> ServerConfig {
        ServerConfig {
            name: name.to_owned(),
            command: Some("sh".to_owned()),
            args: vec!["-c".to_owned(), script.to_owned()],
            enabled: true,
            ..ServerConfig::default()
        }
    }

    /// Waits for a state of a server.
    #[expect(clippy::expect_used, reason = "a test that cannot go on should fail where it stands")]
    async fn until(pool: &UpstreamPool, name: &str, reached: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let mut changes = pool.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                match pool.snapshot(name) {
                    Some(snapshot) if reached(&snapshot) => return snapshot,
                    _ => changes.changed().await.expect("the pool is gone"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the state was not reached")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn servers_follow_the_configuration_and_calls_reach_them() {
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(directory.path());
        let config = shell("a", SERVER);
        pool.apply(std::slice::from_ref(&config)).await;
        let connected = until(&pool, "a", Snapshot::is_connected).await;
        assert_eq!(connected.identity, Some(("sh".to_owned(), "1".to_owned())));
        let result = pool.call("a", "echo", JsonObject::new(), Duration::from_secs(30)).await.unwrap();
        assert_eq!(serde_json::to_value(&result).unwrap()["content"][0]["text"], "echo");
        assert!(matches!(pool.route("a", "echo", |_| true), Some(Route::Fast(_))));
        assert!(matches!(pool.tool("a", "other"), Err(CallError::UnknownTool { .. })));
        let disabled = ServerConfig {
            enabled: false,
            ..config
        };
        pool.apply(&[disabled]).await;
        assert!(matches!(pool.tool("a", "echo"), Err(CallError::Disabled(_))));
        pool.apply(&[]).await;
        assert!(matches!(pool.tool("a", "echo"), Err(CallError::UnknownServer { .. })));
    }

    #[tokio::test]
    async fn an_approval_covers_exactly_the_definitions_that_were_shown() {
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(directory.path());
        let server = Upstream::awaited(shell("a", SERVER));
        let new = PendingTool::new(Tool::new("new", "Says hello", JsonObject::new()));
        let hash = new.fingerprint.hash("new");
        let off = Tool::new("off", "", JsonObject::new());
        server.state.send_modify(|state| {
            state.take_tools(Vec::new(), vec![new]);
            state.off = Arc::new(DisabledTools {
                approved: vec![off],
                pending: Vec::new(),
            });
        });
        write(&pool.servers).insert("a".to_owned(), server);
        let approve = |name: &str, hash: &str| pool.approve_exactly("a", &BTreeMap::from([(name.into(), hash.into())]));
        assert!(matches!(approve("new", "another definition"), Err(ApproveError::Changed { .. })));
        assert!(matches!(approve("gone", &hash), Err(ApproveError::Changed { .. })));
        assert!(matches!(pool.approve("a", Some(&["gone".to_owned()])), Err(ApproveError::UnknownTool { .. })));
        assert!(matches!(pool.tool("a", "new"), Err(CallError::PendingTool { changed: false, .. })));
        assert!(matches!(pool.tool("a", "off"), Err(CallError::SwitchedOff { .. })));
        assert_eq!(approve("new", &hash).unwrap(), ["new"]);
        assert!(pool.tool("a", "new").is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_server_that_exits_is_explained_and_the_reason_stays_while_it_is_retried() {
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(directory.path());
        pool.apply(&[shell("a", "echo 'API_TOKEN is not set' >&2; exit 3")]).await;
        let failed = until(&pool, "a", |server| server.retries == 2).await;
        let error = failed.last_error().unwrap();
        let expected =
            "the server exited during startup (exit status: 3): API_TOKEN is not set (2 attempts failed; retrying)";
        assert_eq!(error, expected);
        let retrying = until(&pool, "a", |server| server.phase == Phase::Connecting).await;
        assert_eq!(retrying.last_error().as_deref(), Some(expected));
        assert!(matches!(pool.tool("a", "echo"), Err(CallError::NotConnected { reason, .. }) if reason == expected));
        pool.stop().await;
    }
}
