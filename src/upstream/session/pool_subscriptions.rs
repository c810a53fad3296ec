//! Log levels and resource subscriptions of the clients' sessions, over all servers.

use futures_util::future::join_all;

use crate::upstream::error::{CallError, not_answered};
use crate::upstream::pool::UpstreamPool;
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::session::subscriptions::Level;
use crate::upstream::session::sync_subscriptions;

impl UpstreamPool {
    /// Sets the log level of a session, for one server or for all.
    pub async fn set_level(&self, session: SessionId, server: Option<String>, level: Level) {
        self.subscriptions().set_level(session, server.clone(), level);
        let peers = self.peers().into_iter().filter(|(name, _)| server.as_ref().is_none_or(|only| only == name));
        let tell = peers.map(|(name, peer)| async move {
            let level = self.subscriptions().level(&name);
            if let Some(level) = level {
                sync_subscriptions::set_level(&peer, &name, level).await;
            }
        });
        join_all(tell).await;
    }

    /// Whether a session wants log messages of this level.
    pub fn wants_log(&self, session: SessionId, level: Level) -> bool {
        self.subscriptions().wants_log(session, level)
    }

    /// Whether a session is subscribed to a resource.
    pub fn is_subscribed(&self, session: SessionId, server: &str, uri: &str) -> bool {
        self.subscriptions().is_subscribed(session, server, uri)
    }

    /// Subscribes a session to a server's resource.
    ///
    /// # Errors
    /// [`CallError`]: the server is not connected, or rejects the subscription.
    pub async fn subscribe(&self, session: SessionId, server: &str, uri: &str) -> Result<(), CallError> {
        let peer = self.peer(server)?;
        self.subscriptions().subscribe(session, server, uri);
        let answer = sync_subscriptions::subscribe(&peer, uri).await;
        if answer.is_err() {
            self.subscriptions().unsubscribe(session, server, uri);
        }
        answer.map_err(|error| not_answered(server, error))
    }

    /// Ends a subscription; the server learns of it when no other session has it.
    ///
    /// # Errors
    /// [`CallError`]: the server rejected it.
    pub async fn unsubscribe(&self, session: SessionId, server: &str, uri: &str) -> Result<(), CallError> {
        if !self.subscriptions().unsubscribe(session, server, uri) {
            return Ok(());
        }
        let peer = self.peer(server)?;
        sync_subscriptions::unsubscribe(&peer, uri).await.map_err(|error| not_answered(server, error))
    }

    /// Ends all subscriptions of a session that has ended.
    pub fn leave(&self, session: SessionId) {
        for (server, uri) in self.subscriptions().leave(session) {
            let Ok(peer) = self.peer(&server) else { continue };
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { sync_subscriptions::unsubscribe(&peer, &uri).await });
            }
        }
    }
}
