//! The sessions that count for the tokens saved: those that listed the search tools, each list once.

use std::collections::HashSet;

use crate::contract::api::{ActivityKind, ActivityRecord};

/// The tool name of records of lists.
pub(super) const TOOLS_LIST: &str = "tools/list";

/// Maximum number of sessions in memory. With more, the earlier ones may count again.
const MOST: usize = 10_000;

/// The labels of the sessions whose list was recorded.
#[derive(Debug, Default)]
pub(super) struct CountedSessions(HashSet<String>);

impl CountedSessions {
    pub(super) fn add(&mut self, session: &str) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(session.to_owned());
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns whether a new record is kept: not a repeated list, nor one without a session. Removes what a search adds
    /// to the tokens saved if its session does not count.
    pub(super) fn admit(&mut self, record: &mut ActivityRecord) -> bool {
        let session = record.session_id.as_deref();
        let counts = session.is_some_and(|session| self.0.contains(session));
        if record.kind == ActivityKind::InternalToolCall && record.tool_name == TOOLS_LIST {
            return match session {
                Some(session) if !counts => {
                    self.add(session);
                    true
                }
                _ => false,
            };
        }
        record.saved_tokens = record.saved_tokens.filter(|_| counts);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tool: &str, session: Option<&str>) -> ActivityRecord {
        ActivityRecord {
            kind: ActivityKind::InternalToolCall,
            tool_name: tool.to_owned(),
            session_id: session.map(str::to_owned),
            saved_tokens: Some(-7),
            ..ActivityRecord::default()
        }
    }

    #[test]
    fn a_session_counts_from_its_first_list_on() {
        let mut counted = CountedSessions::default();
        let mut admit = |tool: &str, session: Option<&str>| {
            let mut record = record(tool, session);
            counted.admit(&mut record).then_some(record.saved_tokens)
        };
        assert_eq!(admit("retrieve_tools", Some("a")), Some(None), "a search without a list");
        assert_eq!(admit(TOOLS_LIST, Some("a")), Some(Some(-7)));
        assert_eq!(admit(TOOLS_LIST, Some("a")), None, "once per session");
        assert_eq!(admit("retrieve_tools", Some("a")), Some(Some(-7)));
        assert_eq!(admit("retrieve_tools", Some("b")), Some(None));
        assert_eq!((admit(TOOLS_LIST, None), admit("retrieve_tools", None)), (None, Some(None)));
    }
}
