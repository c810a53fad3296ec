//! Log levels and resource subscriptions of the clients' sessions, over all servers.

use futures_util::future::join_all;

use crate::upstream::error::{CallError, not_answered};
use crate::upstream::pool::UpstreamPool;
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::session::subscriptions::Level;
use crate::upstream::session::sync_subscriptions;

impl UpstreamPool {
    /// A session wants log messages of one server, or of all, from this level on.
    pub async fn set_level(&self, session: SessionId, server: Option<String>, level: Level) {
        self.subscriptions().set_level(session, server.clone(), level);
        let peers = self.peers().into_iter().filter(|(name, _)| server.as_ref().is_none_or(|only| only == name));
        let tell = peers.map(|(name, peer)| async move {
            let level = self.subscriptions().level(&name);
            if let Some(level) = level {
                sync_subscriptions::tell_level(&peer, &name, level).await;
            }
        });
        join_all(tell).await;
    }

    /// Whether a session wants log messages of this level.
    pub fn wants_log(&self, session: SessionId, level: Level) -> bool {
        self.subscriptions().wants_log(session, level)
    }

    /// Whether a session wants to hear of a resource.
    pub fn is_subscribed(&self, session: SessionId, server: &str, uri: &str) -> bool {
        self.subscriptions().is_subscribed(session, server, uri)
    }

    /// A session wants to hear of changes of a server's resource.
    ///
    /// # Errors
    /// [`CallError`]: the server is not there, or does not offer it.
    pub async fn subscribe(&self, session: SessionId, server: &str, uri: &str) -> Result<(), CallError> {
        let peer = self.peer(server)?;
        self.subscriptions().subscribe(session, server, uri);
        let answer = sync_subscriptions::subscribe(&peer, uri).await;
        if answer.is_err() {
            self.subscriptions().unsubscribe(session, server, uri);
        }
        answer.map_err(|error| not_answered(server, error))
    }

    /// A session does not want to hear of it any more; the server hears so when nobody does.
    ///
    /// # Errors
    /// [`CallError`]: the server did not take it.
    pub async fn unsubscribe(&self, session: SessionId, server: &str, uri: &str) -> Result<(), CallError> {
        if !self.subscriptions().unsubscribe(session, server, uri) {
            return Ok(());
        }
        let peer = self.peer(server)?;
        sync_subscriptions::unsubscribe(&peer, uri).await.map_err(|error| not_answered(server, error))
    }

    /// A session is over: what only it wanted is wanted no more.
    pub fn leave(&self, session: SessionId) {
        for (server, uri) in self.subscriptions().leave(session) {
            let Ok(peer) = self.peer(&server) else { continue };
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { sync_subscriptions::unsubscribe(&peer, &uri).await });
            }
        }
    }
}
