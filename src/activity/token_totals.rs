//! The tokens of clients by day, and of sessions.

use crate::activity::counted_sessions::TOOLS_LIST;
use crate::activity::header::Header;

/// The savings of one client on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SavedTotals {
    pub sessions: u64,
    /// Tokens of the lists of all tools.
    pub all_tools: u64,
    /// Tokens of the received lists and search results.
    pub received: u64,
}

impl SavedTotals {
    /// Returns what a record adds; `None` if it has no part in the savings.
    pub(super) fn of(header: &Header<'_>) -> Option<SavedTotals> {
        let saved = header.saved_tokens?;
        let received = header.response_tokens.unwrap_or_default();
        Some(SavedTotals {
            sessions: u64::from(header.tool_name == TOOLS_LIST),
            all_tools: received.saturating_add_signed(saved),
            received,
        })
    }

    pub(super) fn add(&mut self, other: SavedTotals) {
        self.sessions += other.sessions;
        self.all_tools += other.all_tools;
        self.received += other.received;
    }

    pub(super) fn saved(self) -> i64 {
        i64::try_from(self.all_tools).unwrap_or(i64::MAX).saturating_sub_unsigned(self.received)
    }
}

/// The tokens of one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SessionTotals {
    /// The latest day of a call.
    pub day: u32,
    /// Whether the session counts for the savings.
    pub is_counted: bool,
    /// Tokens of all arguments and results.
    pub tokens: u64,
}

impl SessionTotals {
    /// Returns what a record of this day adds; `None` without a session.
    pub(super) fn of(header: &Header<'_>, day: u32) -> Option<SessionTotals> {
        header.session_id.as_ref()?;
        Some(SessionTotals {
            day,
            is_counted: header.saved_tokens.is_some(),
            tokens: header.request_tokens.unwrap_or_default() + header.response_tokens.unwrap_or_default(),
        })
    }

    pub(super) fn add(&mut self, other: SessionTotals) {
        self.day = self.day.max(other.day);
        self.is_counted |= other.is_counted;
        self.tokens += other.tokens;
    }
}
