//! What clients' sessions want to hear of servers: said to each server as one, and again to one that starts anew.
#![expect(deprecated, reason = "log levels are of all revisions but the newest")]

use std::collections::{BTreeMap, BTreeSet};

use rmcp::model::LoggingLevel;

use crate::upstream::session::in_flight::SessionId;

/// How severe a log message is.
pub type Level = LoggingLevel;

/// The wishes of all sessions.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Each session's level, for one server or (`None`) for all.
    levels: BTreeMap<SessionId, (Option<String>, Level)>,
    /// Who wants to hear of changes of a server's resource.
    resources: BTreeMap<(String, String), BTreeSet<SessionId>>,
}

/// Whether a log message is of a level or more severe.
pub fn is_at_least(said: Level, wanted: Level) -> bool {
    said as u8 >= wanted as u8
}

impl Subscriptions {
    /// A session wants messages from this level on.
    pub fn set_level(&mut self, session: SessionId, server: Option<String>, level: Level) {
        self.levels.insert(session, (server, level));
    }

    /// Whether a session wants log messages of this level; one that has not said so wants those that are no debugging.
    pub fn wants_log(&self, session: SessionId, level: Level) -> bool {
        is_at_least(level, self.levels.get(&session).map_or(Level::Info, |(_, wanted)| *wanted))
    }

    /// What a server is to log: as much as the session that wants most.
    pub fn level(&self, server: &str) -> Option<Level> {
        let of_it = self.levels.values().filter(|(only, _)| only.as_deref().is_none_or(|only| only == server));
        of_it.map(|(_, level)| *level).min_by_key(|level| *level as u8)
    }

    /// A session wants to hear of a resource.
    pub fn subscribe(&mut self, session: SessionId, server: &str, uri: &str) {
        self.resources.entry((server.to_owned(), uri.to_owned())).or_default().insert(session);
    }

    /// Whether a session wants to hear of a resource.
    pub fn is_subscribed(&self, session: SessionId, server: &str, uri: &str) -> bool {
        let who = self.resources.get(&(server.to_owned(), uri.to_owned()));
        who.is_some_and(|who| who.contains(&session))
    }

    /// A session does not want to hear of a resource any more; `true` when nobody else does.
    pub fn unsubscribe(&mut self, session: SessionId, server: &str, uri: &str) -> bool {
        let key = (server.to_owned(), uri.to_owned());
        let Some(who) = self.resources.get_mut(&key) else { return false };
        let was = who.remove(&session);
        let last = who.is_empty();
        if last {
            self.resources.remove(&key);
        }
        was && last
    }

    /// The resources of a server that somebody wants to hear of.
    pub fn resources(&self, server: &str) -> Vec<String> {
        self.resources.keys().filter(|(of, _)| of == server).map(|(_, uri)| uri.clone()).collect()
    }

    /// A session is over; these resources, of these servers, nobody wants to hear of any more.
    pub fn leave(&mut self, session: SessionId) -> Vec<(String, String)> {
        self.levels.remove(&session);
        let keys: Vec<(String, String)> = self.resources.keys().cloned().collect();
        keys.into_iter().filter(|(server, uri)| self.unsubscribe(session, server, uri)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId(1);
    const TWO: SessionId = SessionId(2);

    #[test]
    fn a_server_logs_as_much_as_the_session_that_wants_most() {
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.level("a"), None);
        subscriptions.set_level(ONE, None, Level::Warning);
        subscriptions.set_level(TWO, Some("a".to_owned()), Level::Debug);
        assert_eq!(subscriptions.level("a"), Some(Level::Debug));
        assert_eq!(subscriptions.level("b"), Some(Level::Warning));
        assert!(subscriptions.wants_log(TWO, Level::Debug) && !subscriptions.wants_log(ONE, Level::Info));
        subscriptions.leave(TWO);
        assert_eq!(subscriptions.level("a"), Some(Level::Warning));
        assert!(subscriptions.wants_log(TWO, Level::Info) && !subscriptions.wants_log(TWO, Level::Debug));
        assert!(is_at_least(Level::Error, Level::Warning));
        assert!(!is_at_least(Level::Info, Level::Warning));
    }

    #[test]
    fn a_resource_is_let_go_by_the_last_who_wants_it() {
        let mut subscriptions = Subscriptions::default();
        for session in [ONE, TWO] {
            subscriptions.subscribe(session, "a", "x:1");
        }
        subscriptions.subscribe(ONE, "b", "x:1");
        assert!(!subscriptions.unsubscribe(ONE, "a", "x:1"));
        assert!(!subscriptions.is_subscribed(ONE, "a", "x:1") && subscriptions.is_subscribed(TWO, "a", "x:1"));
        assert_eq!(subscriptions.leave(TWO), [("a".to_owned(), "x:1".to_owned())]);
        assert!(!subscriptions.unsubscribe(TWO, "a", "x:1"));
        assert_eq!(subscriptions.resources("b"), ["x:1"]);
    }
}
