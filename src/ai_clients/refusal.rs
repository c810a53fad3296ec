//! What the outcome of an edit is called, in the contract's words and in a person's.

use std::io;
use std::path::Path;

use crate::ai_clients::format::entries::ParseError;
use crate::ai_clients::known_clients::Client;
use crate::ai_clients::plan::{Action, Plan, Refusal};
use crate::contract::api::ConnectResult;

/// Why nothing was changed; `result` says it to a person.
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
    /// The result's `action`: the contract's word where it has one.
    fn word(self) -> &'static str {
        match self {
            ErrorKind::BadName => "unsupported",
            ErrorKind::Taken => "already_exists",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Changed => "precondition_failed",
            ErrorKind::Malformed => "malformed",
            ErrorKind::Denied => "denied",
            ErrorKind::Failed => "failed",
        }
    }
}

pub fn refused(result: &ConnectResult, why: ErrorKind, message: String) -> ClientEditError {
    ClientEditError {
        why,
        result: Box::new(ConnectResult {
            action: why.word().to_owned(),
            message,
            ..result.clone()
        }),
    }
}

pub fn failed(result: &ConnectResult, error: &io::Error) -> ClientEditError {
    let why = if error.kind() == io::ErrorKind::PermissionDenied {
        ErrorKind::Denied
    } else {
        ErrorKind::Failed
    };
    refused(result, why, format!("`{}` cannot be changed: {error}", result.config_path))
}

pub fn done(client: &Client, plan: &Plan) -> String {
    let name = client.name;
    match plan.action {
        Action::Created | Action::Updated => format!("{name} is connected once it is started again"),
        Action::AlreadyThere => format!("{name} is connected already, as `{}`", plan.name),
        Action::Removed => format!("{name} is no longer connected"),
        Action::Restored => format!("{name}'s configuration is what it was before"),
        Action::Deleted => format!("{name} has no configuration file again, as before"),
    }
}

pub fn foreseen(client: &Client, plan: &Plan) -> String {
    let name = client.name;
    match plan.action {
        Action::Created | Action::Updated => format!("{name} would be connected, as `{}`", plan.name),
        Action::AlreadyThere => done(client, plan),
        Action::Removed => format!("{name} would no longer be connected"),
        Action::Restored => format!("{name}'s configuration would be what it was before"),
        Action::Deleted => format!("{name} would have no configuration file again, as before"),
    }
}

pub fn in_words(client: &Client, path: &Path, refusal: &Refusal) -> (ErrorKind, String) {
    let file = path.display();
    match refusal {
        Refusal::NoEntry(reason) => (ErrorKind::Failed, format!("{} cannot be connected: {reason}", client.name)),
        Refusal::BadName(name) => {
            let text = format!("`{name}` is no name for a server: expected 1 to 64 letters, digits, `-` and `_`");
            (ErrorKind::BadName, text)
        }
        Refusal::Taken(name) => {
            (ErrorKind::Taken, format!("`{file}` has another server called `{name}`; replace it by force, or keep it"))
        }
        Refusal::NotFound { elsewhere: None } => (ErrorKind::NotFound, format!("{} is not connected", client.name)),
        Refusal::NotFound { elsewhere: Some(name) } => {
            (ErrorKind::NotFound, format!("`{name}` in `{file}` leads to another address; it was left alone"))
        }
        Refusal::Conflict => {
            let text =
                format!("`{file}` was changed since it was connected: disconnect instead, or put it right by hand");
            (ErrorKind::Conflict, text)
        }
        Refusal::Malformed(mistake) => (ErrorKind::Malformed, format!("{}; it was left alone", located(path, mistake))),
    }
}

pub fn located(path: &Path, mistake: &ParseError) -> String {
    let (file, problem) = (path.display(), &mistake.problem);
    match mistake.at {
        Some((line, column)) => format!("`{file}`, line {line}, column {column}: {problem}"),
        None => format!("`{file}` {problem}"),
    }
}
