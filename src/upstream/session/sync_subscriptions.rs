//! Tells servers what clients want to hear of them. A server that does not offer it is not told.
#![expect(
    deprecated,
    reason = "log levels and these subscriptions are of all revisions but the newest"
)]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams};
use rmcp::service::{Peer, RoleClient, ServiceError};

use crate::upstream::session::subscriptions::{Level, Subscriptions};

/// A server that does not answer such a request within this time has not taken it.
const LIMIT: Duration = Duration::from_secs(10);

/// Tells a server that has just started everything.
pub async fn sync_all(peer: Peer<RoleClient>, server: String, subscriptions: &Mutex<Subscriptions>) {
    let (level, resources) = {
        let subscriptions = subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        (subscriptions.level(&server), subscriptions.resources(&server))
    };
    if let Some(level) = level {
        tell_level(&peer, &server, level).await;
    }
    for uri in resources {
        if let Err(error) = subscribe(&peer, &uri).await {
            tracing::warn!(server, uri, "the server that started anew will not tell of this resource: {error}");
        }
    }
}

/// Tells a server from which level on messages are wanted.
pub async fn tell_level(peer: &Peer<RoleClient>, server: &str, level: Level) {
    if peer.peer_info().is_none_or(|info| info.capabilities.logging.is_none()) {
        return;
    }
    if let Err(error) = in_time(peer.set_level(SetLevelRequestParams::new(level))).await {
        tracing::warn!(server, "the server does not take the log level: {error}");
    }
}

/// Asks a server to tell of a resource's changes.
pub async fn subscribe(peer: &Peer<RoleClient>, uri: &str) -> Result<(), ServiceError> {
    in_time(peer.subscribe(SubscribeRequestParams::new(uri))).await
}

/// Asks a server not to do so any more.
pub async fn unsubscribe(peer: &Peer<RoleClient>, uri: &str) -> Result<(), ServiceError> {
    in_time(peer.unsubscribe(UnsubscribeRequestParams::new(uri))).await
}

async fn in_time<T>(request: impl Future<Output = Result<T, ServiceError>>) -> Result<T, ServiceError> {
    tokio::time::timeout(LIMIT, request).await.unwrap_or(Err(ServiceError::Timeout { timeout: LIMIT }))
}
