//! The servers in a configuration file of any format, and the error for one that cannot be read.

use serde_json::Value;

/// Names and entries, in the order of the file.
pub type Entries = Vec<(String, Value)>;

/// Why a file cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
    /// Completes a sentence that begins with the file's name, such as "is not a JSON object".
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
