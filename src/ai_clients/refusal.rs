//! The messages and codes for the outcome of an edit.

use std::io;
use std::path::Path;

use crate::ai_clients::format::entries::ParseError;
use crate::ai_clients::known_clients::Client;
use crate::ai_clients::plan::{Action, Plan, Refusal};
use crate::contract::api::{ConnectAction, ConnectResult};
use crate::contract::failure::FailureKind;

/// Why nothing was changed. `result` holds the message.
#[derive(Debug)]
pub struct ClientEditError {
    pub why: ErrorKind,
    pub result: Box<ConnectResult>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    BadName,
    Taken,
    NotFound,
    Conflict,
    Changed,
    Malformed,
    Denied,
    Failed,
}

impl ErrorKind {
    /// The kind that decides how each protocol reports it.
    pub fn kind(self) -> FailureKind {
        match self {
            ErrorKind::Taken | ErrorKind::Changed | ErrorKind::Conflict => FailureKind::Conflict,
            ErrorKind::NotFound => FailureKind::NotFound,
            ErrorKind::Denied => FailureKind::Denied,
            ErrorKind::BadName | ErrorKind::Malformed => FailureKind::Invalid,
            ErrorKind::Failed => FailureKind::Internal,
        }
    }

    /// The `action` of the result.
    fn action(self) -> ConnectAction {
        match self {
            ErrorKind::BadName => ConnectAction::Unsupported,
            ErrorKind::Taken => ConnectAction::AlreadyExists,
            ErrorKind::NotFound => ConnectAction::NotFound,
            ErrorKind::Conflict => ConnectAction::Conflict,
            ErrorKind::Changed => ConnectAction::PreconditionFailed,
            ErrorKind::Malformed => ConnectAction::Malformed,
            ErrorKind::Denied => ConnectAction::Denied,
            ErrorKind::Failed => ConnectAction::Failed,
        }
    }
}

/// The error with a message.
pub fn refused(result: &ConnectResult, why: ErrorKind, message: String) -> ClientEditError {
    ClientEditError {
        why,
        result: Box::new(ConnectResult {
            action: why.action(),
            message,
            ..result.clone()
        }),
    }
}

/// The error for a failed read or write.
pub fn failed(result: &ConnectResult, error: &io::Error) -> ClientEditError {
    let why = if error.kind() == io::ErrorKind::PermissionDenied {
        ErrorKind::Denied
    } else {
        ErrorKind::Failed
    };
    refused(result, why, format!("could not change `{}`: {error}", result.config_path))
}

/// The message after a change.
pub fn done_message(client: &Client, plan: &Plan) -> String {
    let name = client.name;
    match plan.action {
        Action::Created | Action::Updated => format!("Added MCPProxy to {name}. Restart {name} to use it."),
        Action::AlreadyThere => format!("{name} is already connected, as `{}`.", plan.name),
        Action::Removed => format!("Removed MCPProxy from {name}."),
        Action::Restored => format!("Restored {name}'s configuration."),
        Action::Deleted => "Deleted the configuration file that `connect` had created.".to_owned(),
    }
}

/// The message of a dry run.
pub fn dry_run_message(client: &Client, plan: &Plan) -> String {
    let name = client.name;
    match plan.action {
        Action::Created | Action::Updated => format!("Would add MCPProxy to {name} as `{}`.", plan.name),
        Action::AlreadyThere => done_message(client, plan),
        Action::Removed => format!("Would remove MCPProxy from {name}."),
        Action::Restored => format!("Would restore {name}'s configuration."),
        Action::Deleted => format!("Would delete {name}'s configuration file, which `connect` had created."),
    }
}

/// The kind of error and the message for a refused change.
pub fn refusal_message(client: &Client, path: &Path, refusal: &Refusal) -> (ErrorKind, String) {
    let file = path.display();
    match refusal {
        Refusal::NoEntry(reason) => (ErrorKind::Failed, format!("could not connect {}: {reason}", client.name)),
        Refusal::BadName(name) => {
            let text = format!("invalid server name `{name}`: use 1-64 letters, digits, `-` or `_`");
            (ErrorKind::BadName, text)
        }
        Refusal::Taken(name) => (
            ErrorKind::Taken,
            format!("`{file}` already has a different server named `{name}`; use --force to replace it"),
        ),
        Refusal::NotFound { elsewhere: None } => (ErrorKind::NotFound, format!("{} is not connected", client.name)),
        Refusal::NotFound { elsewhere: Some(name) } => {
            (ErrorKind::NotFound, format!("`{name}` in `{file}` points to a different server, so it was not removed"))
        }
        Refusal::Conflict => {
            let text = format!("`{file}` changed after connecting, so it can't be undone; use `disconnect` instead");
            (ErrorKind::Conflict, text)
        }
        Refusal::Malformed(error) => {
            (ErrorKind::Malformed, format!("{}; the file was not changed", located(path, error)))
        }
    }
}

/// A syntax error with its position.
pub fn located(path: &Path, error: &ParseError) -> String {
    let (file, problem) = (path.display(), &error.problem);
    match error.at {
        Some((line, column)) => format!("`{file}`, line {line}, column {column}: {problem}"),
        None => format!("`{file}` {problem}"),
    }
}
