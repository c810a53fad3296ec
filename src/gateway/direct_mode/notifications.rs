//! Notifications for a session on `/mcp/all`: changed lists, log messages, changed resources.
#![expect(deprecated, reason = "the newest protocol version deprecates log messages")]

use std::sync::Arc;

use rmcp::model::{
    Extensions, LoggingMessageNotification, PromptListChangedNotification, ResourceListChangedNotification,
    ResourceUpdatedNotification, ServerNotification, Tool, ToolListChangedNotification,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::gateway::direct_mode::qualified_name::join;
use crate::gateway::direct_mode::route::only;
use crate::gateway::direct_mode::scope::Scope;
use crate::gateway::profile::Origin;
use crate::gateway::tool_calls::Proxy;
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::session::router::{Broadcast, BroadcastKind};

/// The source of one session's notifications.
pub struct Notifications {
    proxy: Arc<Proxy>,
    session: SessionId,
    /// The server named in the session's URL, if any.
    only: Option<String>,
    /// Determines the session's profile, which may change during the session.
    origin: Origin,
    changes: watch::Receiver<u64>,
    news: broadcast::Receiver<Broadcast>,
    shown: ReportedTools,
}

/// The servers and tools that were reported to a session. Sessions share the lists of tools.
struct ReportedTools(Vec<(String, Arc<Vec<Tool>>)>);

impl ReportedTools {
    fn now(proxy: &Proxy, only: Option<&str>, origin: &Origin) -> ReportedTools {
        ReportedTools(Scope::of(proxy, only, &proxy.profile_scope(origin)).unwrap_or_default().tool_lists())
    }

    fn servers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(server, _)| server.as_str())
    }

    /// Whether both contain the same tools under the same names.
    fn has_tools_of(&self, other: &ReportedTools) -> bool {
        fn lists(shown: &ReportedTools) -> Vec<&(String, Arc<Vec<Tool>>)> {
            shown.0.iter().filter(|(_, tools)| !tools.is_empty()).collect()
        }
        let (own, others) = (lists(self), lists(other));
        own.len() == others.len()
            && own.iter().zip(others).all(|((server, tools), (other, others))| {
                server == other && (Arc::ptr_eq(tools, others) || tools == others)
            })
    }
}

impl Notifications {
    /// Creates a source of future notifications.
    pub fn new(proxy: Arc<Proxy>, session: SessionId, request: &Extensions) -> Notifications {
        let (only, origin) = (only(request), Origin::of(request));
        Notifications {
            changes: proxy.upstreams().tool_changes(),
            news: proxy.upstreams().broadcasts(),
            shown: ReportedTools::now(&proxy, only.as_deref(), &origin),
            proxy,
            session,
            only,
            origin,
        }
    }

    /// Waits for the next notifications; returns `None` after the last ones.
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
                        tracing::warn!(missed, "a client read too slowly and missed announcements of servers");
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
        let now = ReportedTools::now(&self.proxy, self.only.as_deref(), &self.origin);
        let before = std::mem::replace(&mut self.shown, now);
        let mut found = Vec::new();
        if !before.has_tools_of(&self.shown) {
            found.push(ToolListChangedNotification::default().into());
        }
        if !before.servers().eq(self.shown.servers()) {
            found.push(PromptListChangedNotification::default().into());
            found.push(ResourceListChangedNotification::default().into());
        }
        found
    }

    fn heard(&self, Broadcast { server, what }: Broadcast) -> Option<ServerNotification> {
        if self.only.as_deref().is_some_and(|only| *only != *server)
            || !self.shown.servers().any(|name| *name == *server)
            || !self.proxy.profile_scope(&self.origin).allows(&server)
        {
            return None;
        }
        let upstreams = self.proxy.upstreams();
        match what {
            BroadcastKind::Log(mut log) => {
                if self.only.is_none() {
                    log.logger = Some(log.logger.map_or(server.to_string(), |logger| join(&server, &logger)));
                }
                let wanted = upstreams.wants_log(self.session, log.level);
                wanted.then(|| LoggingMessageNotification::new(log).into())
            }
            BroadcastKind::Prompts => Some(PromptListChangedNotification::default().into()),
            BroadcastKind::Resources => Some(ResourceListChangedNotification::default().into()),
            BroadcastKind::Updated(updated) => {
                let wanted = upstreams.is_subscribed(self.session, &server, &updated.uri);
                wanted.then(|| ResourceUpdatedNotification::new(updated).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Arc<Vec<Tool>> {
        Arc::new(names.iter().map(|name| Tool::new((*name).to_owned(), "", Arc::default())).collect())
    }

    fn shown(servers: &[(&str, &Arc<Vec<Tool>>)]) -> ReportedTools {
        ReportedTools(servers.iter().map(|(server, tools)| ((*server).to_owned(), (*tools).clone())).collect())
    }

    #[test]
    fn tools_are_the_same_by_their_content_and_their_server() {
        let (one, two, none) = (list(&["a", "b"]), list(&["c"]), list(&[]));
        let before = shown(&[("s", &one), ("t", &two)]);
        assert!(before.has_tools_of(&shown(&[("s", &list(&["a", "b"])), ("t", &two)])));
        assert!(before.has_tools_of(&shown(&[("r", &none), ("s", &one), ("t", &two)])), "one without tools adds none");
        assert!(!before.has_tools_of(&shown(&[("s", &one)])));
        assert!(!before.has_tools_of(&shown(&[("s", &two), ("t", &one)])));
        assert!(!before.has_tools_of(&shown(&[("s", &one), ("u", &two)])));
        assert!(!before.has_tools_of(&shown(&[("s", &list(&["a"])), ("t", &two)])));
    }
}
