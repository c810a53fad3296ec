//! How a command reports that it failed.

use serde::Serialize;

use crate::contract::exit_code::ExitCode;

/// A command's failure in the existing CLI's shape (contract: cli-config-telemetry §1.1).
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
    pub fn new(code: &'static str, message: impl Into<String>) -> CliError {
        CliError {
            code,
            message: message.into(),
            guidance: None,
            exit: ExitCode::General,
        }
    }

    pub fn guided(self, guidance: impl Into<String>) -> CliError {
        CliError {
            guidance: Some(guidance.into()),
            ..self
        }
    }
}
