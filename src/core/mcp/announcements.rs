//! What a session on `/mcp/all` is told without having asked: changed lists, log messages, changed resources.
#![expect(deprecated, reason = "log messages are of all revisions but the newest")]

use std::sync::Arc;

use rmcp::model::{
    LoggingMessageNotification, PromptListChangedNotification, ResourceListChangedNotification,
    ResourceUpdatedNotification, ServerNotification, Tool, ToolListChangedNotification,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Proxy;
use super::pass_through::Scope;
use super::qualified_name::join;
use crate::core::upstream::attend::{Announcement, News};
use crate::core::upstream::underway::SessionId;

/// The announcements to one session.
pub struct Announcements {
    proxy: Arc<Proxy>,
    session: SessionId,
    /// The one server that the session's address names.
    only: Option<String>,
    changes: watch::Receiver<u64>,
    news: broadcast::Receiver<News>,
    shown: Shown,
}

/// What a session was told of the servers.
#[derive(PartialEq)]
struct Shown {
    servers: Vec<String>,
    tools: Vec<Tool>,
}

impl Shown {
    fn now(proxy: &Proxy, only: Option<&str>) -> Shown {
        let scope = Scope::of(proxy, only).unwrap_or_default();
        Shown {
            servers: scope.names(),
            tools: scope.tools(),
        }
    }
}

impl Announcements {
    /// What is announced from now on.
    pub fn new(proxy: Arc<Proxy>, session: SessionId, only: Option<String>) -> Announcements {
        Announcements {
            changes: proxy.upstreams().changes(),
            news: proxy.upstreams().news(),
            shown: Shown::now(&proxy, only.as_deref()),
            proxy,
            session,
            only,
        }
    }

    /// Waits for the next ones; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Vec<ServerNotification>> {
        loop {
            let found = tokio::select! {
                changed = self.changes.changed() => {
                    changed.ok()?;
                    self.changed()
                }
                news = self.news.recv() => match news {
                    Ok(news) => self.heard(news).into_iter().collect(),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "a client is too slow for what the servers announce");
                        Vec::new()
                    }
                    Err(RecvError::Closed) => return None,
                },
            };
            if !found.is_empty() {
                return Some(found);
            }
        }
    }

    fn changed(&mut self) -> Vec<ServerNotification> {
        let now = Shown::now(&self.proxy, self.only.as_deref());
        let before = std::mem::replace(&mut self.shown, now);
        let mut found = Vec::new();
        if before.tools != self.shown.tools {
            found.push(ToolListChangedNotification::default().into());
        }
        if before.servers != self.shown.servers {
            found.push(PromptListChangedNotification::default().into());
            found.push(ResourceListChangedNotification::default().into());
        }
        found
    }

    fn heard(&self, News { server, what }: News) -> Option<ServerNotification> {
        if self.only.as_deref().is_some_and(|only| *only != *server)
            || !self.shown.servers.iter().any(|name| **name == *server)
        {
            return None;
        }
        let upstreams = self.proxy.upstreams();
        match what {
            Announcement::Log(mut log) => {
                if self.only.is_none() {
                    log.logger = Some(log.logger.map_or(server.to_string(), |logger| join(&server, &logger)));
                }
                let wanted = upstreams.wants_log(self.session, log.level);
                wanted.then(|| LoggingMessageNotification::new(log).into())
            }
            Announcement::Prompts => Some(PromptListChangedNotification::default().into()),
            Announcement::Resources => Some(ResourceListChangedNotification::default().into()),
            Announcement::Updated(updated) => {
                let wanted = upstreams.is_subscribed(self.session, &server, &updated.uri);
                wanted.then(|| ResourceUpdatedNotification::new(updated).into())
            }
        }
    }
}
