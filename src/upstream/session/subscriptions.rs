//! Log levels and resource subscriptions of all sessions, merged into one per server; repeated to a server that restarts.
#![expect(deprecated, reason = "log levels belong to all protocol versions but the newest")]

use std::collections::{BTreeMap, BTreeSet};

use rmcp::model::LoggingLevel;

use crate::upstream::session::in_flight::SessionId;

/// How severe a log message is.
pub type Level = LoggingLevel;

/// The log levels and subscriptions of all sessions.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Each session's level, for one server or (`None`) for all.
    levels: BTreeMap<SessionId, (Option<String>, Level)>,
    /// The sessions subscribed to a server's resource.
    resources: BTreeMap<(String, String), BTreeSet<SessionId>>,
}

/// Whether a log message is at least as severe as a level.
pub fn is_at_least(level: Level, wanted: Level) -> bool {
    level as u8 >= wanted as u8
}

impl Subscriptions {
    /// Sets the level of a session.
    pub fn set_level(&mut self, session: SessionId, server: Option<String>, level: Level) {
        self.levels.insert(session, (server, level));
    }

    /// Whether a session wants log messages of this level; the default is `info`.
    pub fn wants_log(&self, session: SessionId, level: Level) -> bool {
        is_at_least(level, self.levels.get(&session).map_or(Level::Info, |(_, wanted)| *wanted))
    }

    /// The level of a server: the most detailed that any session wants.
    pub fn level(&self, server: &str) -> Option<Level> {
        let of_it = self.levels.values().filter(|(only, _)| only.as_deref().is_none_or(|only| only == server));
        of_it.map(|(_, level)| *level).min_by_key(|level| *level as u8)
    }

    /// Subscribes a session to a resource.
    pub fn subscribe(&mut self, session: SessionId, server: &str, uri: &str) {
        self.resources.entry((server.to_owned(), uri.to_owned())).or_default().insert(session);
    }

    /// Whether a session is subscribed to a resource.
    pub fn is_subscribed(&self, session: SessionId, server: &str, uri: &str) -> bool {
        let sessions = self.resources.get(&(server.to_owned(), uri.to_owned()));
        sessions.is_some_and(|sessions| sessions.contains(&session))
    }

    /// Ends a subscription; `true` if no other session has it.
    pub fn unsubscribe(&mut self, session: SessionId, server: &str, uri: &str) -> bool {
        let key = (server.to_owned(), uri.to_owned());
        let Some(sessions) = self.resources.get_mut(&key) else { return false };
        let was = sessions.remove(&session);
        let last = sessions.is_empty();
        if last {
            self.resources.remove(&key);
        }
        was && last
    }

    /// The resources of a server with a subscription.
    pub fn resources(&self, server: &str) -> Vec<String> {
        self.resources.keys().filter(|(of, _)| of == server).map(|(_, uri)| uri.clone()).collect()
    }

    /// Ends everything of a session; returns the servers and resources that have no subscription any more.
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
    fn a_server_logs_at_the_most_detailed_level_of_any_session() {
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
    fn a_subscription_ends_with_the_last_session_that_has_it() {
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
