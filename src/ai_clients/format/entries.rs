//! What a configuration file holds, whatever its format.

use serde_json::Value;

/// The servers that a configuration names, in its order.
pub type Entries = Vec<(String, Value)>;

/// What keeps a file from being edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
    /// Follows the file's name: "is not a JSON object".
    pub problem: String,
}

impl ParseError {
    pub fn of(problem: impl Into<String>) -> ParseError {
        ParseError {
            at: None,
            problem: problem.into(),
        }
    }
}
