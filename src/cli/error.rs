//! The error of a command.

use serde::Serialize;

use crate::contract::exit_code::ExitCode;

/// Why a command failed, in the format of the Go core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CliError {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<String>,
    #[serde(skip)]
    pub exit: ExitCode,
}

impl CliError {
    /// An error that exits with 1.
    pub fn new(code: &'static str, message: impl Into<String>) -> CliError {
        CliError {
            code,
            message: message.into(),
            guidance: None,
            exit: ExitCode::General,
        }
    }

    /// An error in how the command was called; exits with 2.
    pub fn usage(code: &'static str, message: impl Into<String>) -> CliError {
        CliError {
            exit: ExitCode::Usage,
            ..CliError::new(code, message)
        }
    }

    /// The error with a line that says what to do next.
    pub fn guided(self, guidance: impl Into<String>) -> CliError {
        CliError {
            guidance: Some(guidance.into()),
            ..self
        }
    }
}
