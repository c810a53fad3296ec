//! `mcpproxy connect` and `disconnect`: edit the AI clients' files, with or without a running core.

use serde::Serialize;

use crate::ai_clients::edit;
use crate::ai_clients::edit::Operation;
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::known_clients;
use crate::ai_clients::known_clients::{CLIENTS, Client, Homes};
use crate::ai_clients::refusal::{ClientEditError, ErrorKind};
use crate::cli::args::{ConnectArguments, DisconnectArguments};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::output::{print, rows};
use crate::contract::api::{AccessState, AiClient, ConnectResult, Status};
use crate::contract::exit_code::ExitCode;
use crate::contract::names;
use crate::server::encryption;

/// The result of an edit, or of its dry run.
#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    result: ConnectResult,
    /// Only in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// The error for a command that names no client.
fn no_client(command: &str) -> CliError {
    CliError::usage("INVALID_INPUT", "no AI client is named").guided(format!(
        "see all clients with `mcpproxy connect --list`, then name one, or use `--all`: mcpproxy {command} CLIENT"
    ))
}

/// An edit of one or all clients.
struct Request {
    operation: Operation,
    name: Option<String>,
    dry_run: bool,
}

pub async fn connect(context: &Context, link: &CoreLink, options: ConnectArguments) -> Result<ExitCode, CliError> {
    if options.client.is_none() && !options.list && !options.all {
        return Err(no_client("connect"));
    }
    let (homes, mut proxy) = (homes()?, proxy(context, link).await?);
    if let Some(name) = &options.profile {
        let config = context.store.load().map_err(|error| config_error(&error))?;
        if !config.profiles.iter().any(|profile| profile.name == *name) {
            let error = CliError::new("INVALID_INPUT", format!("unknown profile `{name}`"));
            return Err(error.guided("see all profiles with `mcpproxy profile list`"));
        }
        proxy.profile = Some(name.clone());
    }
    if options.list {
        let list = edit::list(&homes, &proxy);
        return print(context.format, &list, |list| table(list)).map(|()| ExitCode::Clean);
    }
    let operation = if options.undo {
        Operation::Undo { backup: None }
    } else {
        Operation::Connect {
            force: options.force,
            token: None,
        }
    };
    let request = Request {
        operation,
        name: options.name,
        dry_run: options.dry_run,
    };
    request.run(context, &homes, &proxy, options.client.as_deref())
}

pub async fn disconnect(
    context: &Context,
    link: &CoreLink,
    options: DisconnectArguments,
) -> Result<ExitCode, CliError> {
    if options.client.is_none() && !options.all {
        return Err(no_client("disconnect"));
    }
    let request = Request {
        operation: Operation::Disconnect,
        name: options.name,
        dry_run: options.dry_run,
    };
    request.run(context, &homes()?, &proxy(context, link).await?, options.client.as_deref())
}

impl Request {
    /// Edits the client with this ID, or all installed clients.
    fn run(&self, context: &Context, homes: &Homes, proxy: &Proxy, id: Option<&str>) -> Result<ExitCode, CliError> {
        let Some(id) = id else { return self.run_on_all(context, homes, proxy) };
        let client = known_clients::client(id).ok_or_else(|| {
            CliError::new("INVALID_INPUT", format!("unknown AI client `{id}`"))
                .guided("see all clients with `mcpproxy connect --list`")
        })?;
        let outcome = self.outcome(client, homes, proxy).map_err(refused)?;
        print(context.format, &outcome, sentence).map(|()| ExitCode::Clean)
    }

    /// Continues with the other clients if one fails.
    fn run_on_all(&self, context: &Context, homes: &Homes, proxy: &Proxy) -> Result<ExitCode, CliError> {
        let installed = CLIENTS.iter().filter(|client| edit::inspect(client, homes, proxy, false).exists);
        let mut code = ExitCode::Clean;
        let mut outcomes = Vec::new();
        for client in installed {
            outcomes.push(self.outcome(client, homes, proxy).unwrap_or_else(|refused| {
                // A client that is not connected is already disconnected.
                if refused.why != ErrorKind::NotFound {
                    code = ExitCode::General;
                }
                Outcome {
                    result: *refused.result,
                    diff: None,
                }
            }));
        }
        let words = |outcomes: &Vec<Outcome>| match self.dry_run {
            true => outcomes.iter().map(sentence).collect::<Vec<_>>().join("\n\n"),
            false => outcome_table(outcomes),
        };
        print(context.format, &outcomes, words).map(|()| code)
    }

    fn outcome(&self, client: &Client, homes: &Homes, proxy: &Proxy) -> Result<Outcome, ClientEditError> {
        let name = self.name.as_deref();
        if self.dry_run {
            let (result, diff) = edit::dry_run(client, homes, proxy, name, &self.operation)?;
            return Ok(Outcome {
                result,
                diff: Some(diff),
            });
        }
        let result = edit::apply(client, homes, proxy, name, &self.operation)?;
        Ok(Outcome { result, diff: None })
    }
}

fn sentence(Outcome { result, diff }: &Outcome) -> String {
    let backup = result.backup_path.as_ref().map(|path| format!("\nBackup: {path}"));
    let diff = diff.as_ref().filter(|diff| !diff.is_empty()).map(|diff| format!("\n{diff}"));
    format!("{}{}{}", result.message, diff.unwrap_or_default(), backup.unwrap_or_default())
}

fn outcome_table(outcomes: &[Outcome]) -> String {
    let row = |Outcome { result, .. }: &Outcome| vec![result.client.clone(), result.message.clone()];
    rows(&["CLIENT", "RESULT"], outcomes.iter().map(row).collect(), "No AI clients found.")
}

/// The running core's address, or the configured one, with the configured key.
pub async fn proxy(context: &Context, link: &CoreLink) -> Result<Proxy, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let listen = match link.running() {
        Some(client) => client.get::<Status>("/api/v1/status").await.map_err(CliError::from)?.listen_addr,
        None => context.environment.non_empty(names::ENV_LISTEN).unwrap_or(&config.listen).to_owned(),
    };
    let key = context.environment.non_empty(names::ENV_API_KEY).or(config.api_key.as_deref());
    let proxy = Proxy::new(&listen, config.require_mcp_auth, key, edit::bridge(&context.root));
    Ok(proxy.encrypted(encryption::wanted(&config, &context.environment).enabled))
}

/// The directories of this user's clients.
pub fn homes() -> Result<Homes, CliError> {
    edit::homes().ok_or_else(|| {
        CliError::new("OPERATION_FAILED", "could not find the AI clients: this user has no home directory")
    })
}

fn refused(refused: ClientEditError) -> CliError {
    let ClientEditError { why, result } = refused;
    let code = match why {
        ErrorKind::Denied => "PERMISSION_DENIED",
        ErrorKind::Taken | ErrorKind::NotFound | ErrorKind::BadName => "INVALID_INPUT",
        ErrorKind::Conflict | ErrorKind::Changed | ErrorKind::Malformed | ErrorKind::Failed => "OPERATION_FAILED",
    };
    let error = CliError::new(code, result.message);
    match why {
        ErrorKind::Taken => error.guided(format!("replace it with `mcpproxy connect {} --force`", result.client)),
        ErrorKind::Denied => CliError {
            exit: ExitCode::Permission,
            ..error
        },
        _ => error,
    }
}

fn table(list: &[AiClient]) -> String {
    let row = |client: &AiClient| {
        let state = match client.access_state {
            _ if client.connected => "connected",
            AccessState::Malformed => "config has an error",
            AccessState::Denied => "not readable",
            AccessState::NotChecked => "not checked",
            _ if client.exists => "not connected",
            _ => "not installed",
        };
        vec![
            client.id.clone(),
            client.name.clone(),
            state.to_owned(),
            client.config_path.clone(),
        ]
    };
    rows(&["CLIENT", "NAME", "STATE", "CONFIGURATION"], list.iter().map(row).collect(), "No AI clients found.")
}
