//! What a server's task shares with the pool.

use std::sync::{Arc, Mutex};

use rmcp::service::{Peer, RoleClient};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::upstream::approvals::Approvals;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::session::router::Broadcast;
use crate::upstream::session::subscriptions::Subscriptions;
use crate::upstream::snapshot::Snapshot;
use crate::upstream::transport::stdio::StdioFastPath;

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
