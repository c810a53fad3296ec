//! `mcpproxy connect` and `disconnect`: in the clients' files, whether a core runs or not.

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
use crate::contract::api::{AiClient, ConnectResult, Status};
use crate::contract::exit_code::ExitCode;
use crate::contract::names;

/// What became of a client's file, or would.
#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    result: ConnectResult,
    /// Of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// What is done to whichever client.
struct Order {
    operation: Operation,
    name: Option<String>,
    dry_run: bool,
}

pub async fn connect(context: &Context, link: &CoreLink, options: ConnectArguments) -> Result<ExitCode, CliError> {
    let (homes, proxy) = (homes()?, proxy(context, link).await?);
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
    let order = Order {
        operation,
        name: options.name,
        dry_run: options.dry_run,
    };
    order.carry_out(context, &homes, &proxy, options.client.as_deref())
}

pub async fn disconnect(
    context: &Context,
    link: &CoreLink,
    options: DisconnectArguments,
) -> Result<ExitCode, CliError> {
    let order = Order {
        operation: Operation::Disconnect,
        name: options.name,
        dry_run: options.dry_run,
    };
    order.carry_out(context, &homes()?, &proxy(context, link).await?, options.client.as_deref())
}

impl Order {
    /// To the client of an id, or to every one that is installed.
    fn carry_out(
        &self,
        context: &Context,
        homes: &Homes,
        proxy: &Proxy,
        id: Option<&str>,
    ) -> Result<ExitCode, CliError> {
        let Some(id) = id else { return self.carry_out_on_all(context, homes, proxy) };
        let client = known_clients::client(id).ok_or_else(|| {
            CliError::new("INVALID_INPUT", format!("no AI client is called `{id}`"))
                .guided("`mcpproxy connect --list` names them")
        })?;
        let outcome = self.outcome(client, homes, proxy).map_err(refused)?;
        print(context.format, &outcome, in_words).map(|()| ExitCode::Clean)
    }

    /// One client's failure keeps no other from its turn.
    fn carry_out_on_all(&self, context: &Context, homes: &Homes, proxy: &Proxy) -> Result<ExitCode, CliError> {
        let installed = CLIENTS.iter().filter(|client| edit::look(client, homes, proxy, false).exists);
        let mut code = ExitCode::Clean;
        let mut outcomes = Vec::new();
        for client in installed {
            outcomes.push(self.outcome(client, homes, proxy).unwrap_or_else(|refused| {
                // What is not connected need not be disconnected.
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
            true => outcomes.iter().map(in_words).collect::<Vec<_>>().join("\n\n"),
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

fn in_words(Outcome { result, diff }: &Outcome) -> String {
    let backup = result.backup_path.as_ref().map(|path| format!("\nThe file of before is `{path}`."));
    let diff = diff.as_ref().filter(|diff| !diff.is_empty()).map(|diff| format!(":\n{diff}"));
    format!("{}{}{}", result.message, diff.unwrap_or_else(|| ".".to_owned()), backup.unwrap_or_default())
}

fn outcome_table(outcomes: &[Outcome]) -> String {
    let row =
        |Outcome { result, .. }: &Outcome| vec![result.client.clone(), result.action.clone(), result.message.clone()];
    rows(&["CLIENT", "RESULT", ""], outcomes.iter().map(row).collect())
}

/// The running core's address, or the configured one; the key is the configured one.
async fn proxy(context: &Context, link: &CoreLink) -> Result<Proxy, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let listen = match link.running() {
        Some(client) => client.get::<Status>("/api/v1/status").await.map_err(CliError::from)?.listen_addr,
        None => context.environment.non_empty(names::ENV_LISTEN).unwrap_or(&config.listen).to_owned(),
    };
    let key = context.environment.non_empty(names::ENV_API_KEY).or(config.api_key.as_deref());
    Ok(Proxy::new(&listen, config.require_mcp_auth, key, edit::bridge(&context.root)))
}

fn homes() -> Result<Homes, CliError> {
    edit::homes().ok_or_else(|| CliError::new("OPERATION_FAILED", "this user has no home directory"))
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
        ErrorKind::Taken => error.guided(format!("mcpproxy connect {} --force", result.client)),
        ErrorKind::Denied => CliError {
            exit: ExitCode::Permission,
            ..error
        },
        _ => error,
    }
}

fn table(list: &[AiClient]) -> String {
    let row = |client: &AiClient| {
        let state = match client.access_state.as_str() {
            _ if client.connected => "connected",
            "malformed" => "has a mistake",
            "denied" => "not readable",
            "unknown" => "not looked at",
            _ if client.exists => "not connected",
            _ => "not here",
        };
        vec![
            client.id.clone(),
            client.name.clone(),
            state.to_owned(),
            client.config_path.clone(),
        ]
    };
    rows(&["CLIENT", "NAME", "STATE", "CONFIGURATION"], list.iter().map(row).collect())
}
