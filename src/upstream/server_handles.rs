//! State shared by the pool and a server's task.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::service::{Peer, RoleClient};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::telemetry::usage_counts::UsageCounts;
use crate::upstream::approvals::Approvals;
use crate::upstream::connect_error::ConnectError;
use crate::upstream::isolation::Isolator;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::retries::Retries;
use crate::upstream::session::router::Broadcast;
use crate::upstream::session::subscriptions::Subscriptions;
use crate::upstream::snapshot::Snapshot;
use crate::upstream::transport::stdio::StdioFastPath;
use crate::upstream::waiting::{ServerStep, ServerWait};

/// The task's side of that state.
pub struct ServerHandles {
    pub state: Arc<watch::Sender<Snapshot>>,
    pub approvals: Arc<Approvals>,
    pub tokens: Arc<TokenStore>,
    pub connection: watch::Sender<Option<Connection>>,
    pub restart: Arc<Notify>,
    /// Requested after a failed send: the server may be gone.
    pub health_check: Arc<Notify>,
    /// Why a call showed that the session is of no more use.
    pub session_error: Arc<SessionError>,
    pub stop: CancellationToken,
    pub isolator: Arc<Isolator>,
    pub broadcasts: broadcast::Sender<Broadcast>,
    pub subscriptions: Arc<Mutex<Subscriptions>>,
    pub counts: Arc<UsageCounts>,
    /// Bounds how many servers start at the same time, apart from retries.
    pub starts: Arc<Semaphore>,
    pub retries: Arc<Retries>,
}

impl ServerHandles {
    /// Notes what the server waits for, without a change event: it is only shown on request.
    pub fn waits(&self, step: ServerStep, limit: Option<Duration>) {
        self.state.send_if_modified(|state| {
            state.wait = Some(ServerWait::new(step, limit));
            false
        });
    }

    /// Notes that the server waits for nothing.
    pub fn waits_no_longer(&self) {
        self.state.send_if_modified(|state| {
            state.wait = None;
            false
        });
    }
}

/// How a connected server is reached.
#[derive(Debug, Clone)]
pub struct Connection {
    pub peer: Peer<RoleClient>,
    /// `None` for a server over HTTP.
    pub fast_path: Option<StdioFastPath>,
}

/// Carries an error of a call to the task that owns the session.
#[derive(Debug, Default)]
pub struct SessionError {
    error: Mutex<Option<ConnectError>>,
    notify: Notify,
}

impl SessionError {
    /// Reports an error.
    pub fn report(&self, error: ConnectError) {
        *crate::os::sync::lock(&self.error) = Some(error);
        self.notify.notify_one();
    }

    /// Waits for the next error.
    pub async fn next(&self) -> ConnectError {
        loop {
            if let Some(error) = crate::os::sync::lock(&self.error).take() {
                return error;
            }
            self.notify.notified().await;
        }
    }

    /// Forgets an error of an earlier session.
    pub fn clear(&self) {
        *crate::os::sync::lock(&self.error) = None;
    }
}
