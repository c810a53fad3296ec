//! All upstream servers: one task each, added, removed and restarted without touching the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult, JsonObject, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::approvals::{Approvals, Held};
use super::run::{Handles, run};
use super::{Phase, Snapshot};
use crate::core::config::ServerConfig;

/// The servers of this core.
pub struct Upstreams {
    servers: RwLock<BTreeMap<String, Upstream>>,
    logs: PathBuf,
    approvals: Arc<Approvals>,
    changes: Arc<watch::Sender<u64>>,
}

struct Upstream {
    config: Arc<ServerConfig>,
    state: Arc<watch::Sender<Snapshot>>,
    peer: watch::Receiver<Option<Peer<RoleClient>>>,
    restart: Arc<Notify>,
    doubt: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Why a tool was not called, or gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no server is called `{server}`; there are: {known}")]
    UnknownServer { server: String, known: String },
    #[error("server `{0}` is disabled: a person can enable it in MCPProxy")]
    Disabled(String),
    #[error("server `{0}` waits for a person's approval in MCPProxy; its tools cannot be called until then")]
    Quarantined(String),
    #[error("server `{0}` is starting: try again in a moment")]
    Connecting(String),
    #[error("server `{server}` is not connected: {reason}")]
    NotConnected { server: String, reason: String },
    #[error("server `{server}` has no tool `{tool}`: use retrieve_tools to find the right name")]
    UnknownTool { server: String, tool: String },
    #[error(
        "tool `{tool}` of server `{server}` is {}, and waits for a person's approval in MCPProxy",
        if *changed { "not what was approved: it has changed" } else { "new" }
    )]
    Held {
        server: String,
        tool: String,
        changed: bool,
    },
    #[error("server `{server}` did not answer within {} s", limit.as_secs())]
    Timeout { server: String, limit: Duration },
    #[error("server `{server}` ended during the call; it is being started again")]
    Ended { server: String },
    /// The server's own JSON-RPC error, as it is.
    #[error("{0}")]
    Upstream(rmcp::ErrorData),
    #[error("the call to server `{server}` failed: {error}")]
    Other { server: String, error: String },
}

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    #[error("no server is called `{0}`")]
    UnknownServer(String),
    #[error("server `{server}` has no tool `{tool}` now; a tool can be approved while its server is connected")]
    UnknownTool { server: String, tool: String },
    #[error("the approval cannot be saved: {0}")]
    Io(#[from] std::io::Error),
}

impl Upstreams {
    /// No servers yet; each one's log goes to `logs`.
    pub fn new(logs: &Path, approvals: Approvals) -> Upstreams {
        Upstreams {
            servers: RwLock::default(),
            logs: logs.to_path_buf(),
            approvals: Arc::new(approvals),
            changes: Arc::new(watch::Sender::new(0)),
        }
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
                if servers.get(&name).is_some_and(|server| wanted != Some(&server.config)) {
                    gone.extend(servers.remove(&name));
                }
            }
        }
        end(gone).await;
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        for config in configs {
            if !servers.contains_key(&config.name) {
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
            let open = snapshot.tools().iter().any(|tool| tool.name == *name);
            if !open && !snapshot.held().iter().any(|held| held.tool.name == *name) {
                return Err(ApproveError::UnknownTool {
                    server: server.to_owned(),
                    tool: name.clone(),
                });
            }
        }
        let meant = |held: &&Held| names.is_none_or(|names| names.iter().any(|name| held.tool.name == *name));
        let chosen: Vec<Held> = snapshot.held().iter().filter(meant).cloned().collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        self.approvals.approve(server, &chosen)?;
        found.state.send_modify(|state| state.open(&chosen));
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
            Phase::Failed(reason) | Phase::Unsupported(reason) => Err(CallError::NotConnected {
                server: name,
                reason: reason.clone(),
            }),
            Phase::Connected(tools) => {
                let tool = tool.to_owned();
                let open = tools.iter().find(|found| found.name == tool).cloned();
                open.ok_or_else(|| match snapshot.held().iter().find(|held| held.tool.name == tool) {
                    Some(held) => CallError::Held {
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
        let peer = servers.get(server).and_then(|server| server.peer.borrow().clone());
        peer.ok_or_else(|| CallError::Connecting(server.to_owned()))
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        server: &str,
        tool: &str,
        arguments: JsonObject,
        limit: Duration,
    ) -> Result<CallToolResult, CallError> {
        self.tool(server, tool)?;
        let peer = self.peer(server)?;
        let server = server.to_owned();
        // An empty object and never `null`: servers reject the latter.
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match tokio::time::timeout(limit, peer.call_tool(request)).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(ServiceError::McpError(error))) => Err(CallError::Upstream(error)),
            Ok(Err(ServiceError::TransportClosed | ServiceError::TransportSend(_))) => {
                self.doubt(&server);
                Err(CallError::Ended { server })
            }
            Ok(Err(error)) => Err(CallError::Other {
                server,
                error: error.to_string(),
            }),
            Err(_) => Err(CallError::Timeout { server, limit }),
        }
    }

    /// Has a server looked at that could not be spoken to.
    fn doubt(&self, server: &str) {
        if let Some(upstream) = self.servers.read().unwrap_or_else(PoisonError::into_inner).get(server) {
            upstream.doubt.notify_one();
        }
    }

    fn start(&self, config: ServerConfig) -> Upstream {
        let config = Arc::new(config);
        let state = Arc::new(watch::Sender::new(Snapshot {
            config: config.clone(),
            phase: Phase::Connecting,
            held: Arc::default(),
            reconnects: 0,
            retries: 0,
            identity: None,
        }));
        let (peer, peer_seen) = watch::channel(None);
        let restart = Arc::new(Notify::new());
        let doubt = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let handles = Handles {
            state: state.clone(),
            approvals: self.approvals.clone(),
            peer,
            restart: restart.clone(),
            doubt: doubt.clone(),
            stop: stop.clone(),
        };
        let log = self.logs.join(format!("server-{}.log", file_name(&config.name)));
        let task = tokio::spawn(run(config.clone(), log, handles));
        tokio::spawn(tell(state.subscribe(), self.changes.clone()));
        Upstream {
            config,
            state,
            peer: peer_seen,
            restart,
            doubt,
            stop,
            task,
        }
    }
}

/// Raises the common number whenever one server's state changes; ends with that server's task.
async fn tell(mut state: watch::Receiver<Snapshot>, changes: Arc<watch::Sender<u64>>) {
    while state.changed().await.is_ok() {
        changes.send_modify(|changes| *changes += 1);
    }
}

async fn end(servers: Vec<Upstream>) {
    for server in &servers {
        server.stop.cancel();
    }
    for server in servers {
        let _ = server.task.await;
    }
}

/// A server's name as part of a file's name: what could leave the directory or a Windows name becomes `_`.
pub fn file_name(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = name.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
    text.trim_start_matches('.').to_owned()
}
