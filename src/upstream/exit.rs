//! How the process of a server ended.

use std::process::ExitStatus;

use crate::diagnostics::code::Code;
use crate::diagnostics::fault::Fault;

/// The end of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit status; `None` for a signal, or when it is not known.
    pub status: Option<i32>,
    /// The status as text for a person; empty for a process that had to be ended.
    pub text: String,
    /// The failure of its container, if that ended and not the server itself.
    pub container: Option<Code>,
}

/// When a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Starting,
    Running,
}

impl Exit {
    /// A process that ended by itself.
    pub fn of(status: ExitStatus) -> Exit {
        Exit {
            status: status.code(),
            text: status.to_string(),
            container: None,
        }
    }

    /// The kind of this failure.
    pub fn fault(&self, stage: Stage) -> Fault {
        match (self.container, stage) {
            (Some(code), _) => Fault::Container(code),
            (None, Stage::Starting) => Fault::ExitedAtStart { status: self.status },
            (None, Stage::Running) => Fault::Exited { status: self.status },
        }
    }
}
