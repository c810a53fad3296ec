//! Why a session was not opened, or ended.

use crate::diagnostics::fault::{Failure, Fault};

/// Why a session was not opened, or ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectError {
    Failed(Failure),
    /// The server answered, but rejected `initialize`.
    NoInitialize(Failure),
    /// A person has to unlock the keychain.
    Locked(Failure),
    /// A person has to sign in. Holds the `WWW-Authenticate` value, if the server sent one.
    SignIn(Option<String>),
}

impl ConnectError {
    /// A failure of this kind.
    pub fn failed(fault: Fault, text: impl Into<String>) -> ConnectError {
        ConnectError::Failed(Failure::new(fault, text))
    }

    /// Replaces the failure of a start, if it is one.
    pub fn map(self, change: impl FnOnce(Failure) -> Failure) -> ConnectError {
        match self {
            ConnectError::Failed(failure) => ConnectError::Failed(change(failure)),
            ConnectError::NoInitialize(failure) => ConnectError::NoInitialize(change(failure)),
            other => other,
        }
    }

    /// The typed failure; `None` if the user has to sign in.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            ConnectError::Failed(failure) | ConnectError::NoInitialize(failure) | ConnectError::Locked(failure) => {
                Some(failure)
            }
            ConnectError::SignIn(_) => None,
        }
    }
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> ConnectError {
        ConnectError::Failed(failure)
    }
}

impl From<String> for ConnectError {
    fn from(text: String) -> ConnectError {
        ConnectError::Failed(text.into())
    }
}
