//! A call or a change as reported, before it is examined.

use std::time::Duration;

use serde_json::Value;

use crate::activity::bodies::BodyPolicy;
use crate::contract::words::{ActivityKind, ActivitySource, ActivityStatus, CallIntent};

/// Maximum number of bytes of arguments and results that are examined and stored.
pub const LONGEST_BODY: usize = 64 * 1024;

/// A completed call.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub kind: ActivityKind,
    pub source: ActivitySource,
    pub server: String,
    pub tool: String,
    pub status: ActivityStatus,
    pub error: Option<String>,
    pub took: Duration,
    pub client: Option<String>,
    pub session: Option<String>,
    pub profile: Option<String>,
    pub intent: Option<CallIntent>,
    pub request_bytes: Option<u64>,
    pub response_bytes: Option<u64>,
    /// The arguments as JSON, at most [`LONGEST_BODY`].
    pub arguments: String,
    /// The text of the result, at most [`LONGEST_BODY`].
    pub response: String,
    /// Whether `response` is the complete result as JSON instead of its text.
    pub response_is_json: bool,
    /// Bytes of the result's text that the client received, if they are not `response_bytes`: the text was cut for the
    /// client, or `response_bytes` also counts images and other content.
    pub received_bytes: Option<u64>,
    pub response_truncated: bool,
    /// Whether the result contains definitions of tools, which a client of all tools would have received before.
    pub finds_tools: bool,
    pub policy: BodyPolicy,
}

/// The list of tools that a session at the search endpoint received.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub client: Option<String>,
    pub session: Option<String>,
    pub profile: Option<String>,
    /// Tokens of the list.
    pub tokens: u64,
    /// Tokens of the list of all tools that the session would have received otherwise.
    pub all_tools_tokens: u64,
}

/// A decision, a change, or a start.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub kind: ActivityKind,
    /// The actor, such as `web UI`.
    pub by: String,
    pub server: String,
    pub tool: String,
    pub failed: bool,
    pub error: Option<String>,
    pub details: Option<Value>,
}

/// Returns the start of a text, cut between characters, and whether it is incomplete.
pub fn cut(text: &str, most: usize) -> (&str, bool) {
    if text.len() <= most {
        return (text, false);
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    (text.get(..end).unwrap_or_default(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("abc", 3), ("abc", false));
        assert_eq!(cut("aä", 2), ("a", true));
        assert_eq!(cut("ä", 0), ("", true));
    }
}
