//! The result of a command and its output.

use std::io::Write;
use std::process::ExitCode;

/// An error with an optional hint.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: String,
    pub help: String,
}

impl Failure {
    /// A failure without a hint.
    pub(super) fn new(error: impl Into<String>) -> Failure {
        Failure {
            error: error.into(),
            help: String::new(),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = help.into();
        self
    }
}

impl From<String> for Failure {
    fn from(error: String) -> Failure {
        Failure::new(error)
    }
}

/// The result of a command.
pub(super) type Outcome = Result<ExitCode, Failure>;

/// Writes a line to standard output.
pub(super) fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(format!("could not write to standard output: {error}")))
}

/// Writes a line to standard error. Ignores errors, because it may be closed.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
