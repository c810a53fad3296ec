//! Sends log levels and subscriptions to servers, if they support them.
#![expect(
    deprecated,
    reason = "log levels and these subscriptions belong to all protocol versions but the newest"
)]

use std::sync::Mutex;
use std::time::Duration;

use rmcp::model::{SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams};
use rmcp::service::{Peer, RoleClient, ServiceError};

use crate::os::sync::lock;
use crate::upstream::session::subscriptions::{Level, Subscriptions};

/// How long a server may take to answer such a request.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends everything to a server that has just connected.
pub async fn sync_all(peer: Peer<RoleClient>, server: String, subscriptions: &Mutex<Subscriptions>) {
    let (level, resources) = {
        let subscriptions = lock(subscriptions);
        (subscriptions.level(&server), subscriptions.resources(&server))
    };
    if let Some(level) = level {
        set_level(&peer, &server, level).await;
    }
    for uri in resources {
        if let Err(error) = subscribe(&peer, &uri).await {
            tracing::warn!(server, uri, "could not renew a resource subscription: {error}");
        }
    }
}

/// Sets the log level of a server.
pub async fn set_level(peer: &Peer<RoleClient>, server: &str, level: Level) {
    if peer.peer_info().is_none_or(|info| info.capabilities.logging.is_none()) {
        return;
    }
    if let Err(error) = in_time(peer.set_level(SetLevelRequestParams::new(level))).await {
        tracing::warn!(server, "could not set the log level: {error}");
    }
}

/// Subscribes to a resource.
pub async fn subscribe(peer: &Peer<RoleClient>, uri: &str) -> Result<(), ServiceError> {
    in_time(peer.subscribe(SubscribeRequestParams::new(uri))).await
}

/// Ends a subscription to a resource.
pub async fn unsubscribe(peer: &Peer<RoleClient>, uri: &str) -> Result<(), ServiceError> {
    in_time(peer.unsubscribe(UnsubscribeRequestParams::new(uri))).await
}

async fn in_time<T>(request: impl Future<Output = Result<T, ServiceError>>) -> Result<T, ServiceError> {
    tokio::time::timeout(LIMIT, request).await.unwrap_or(Err(ServiceError::Timeout { timeout: LIMIT }))
}
