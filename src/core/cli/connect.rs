//! `mcpproxy connect` and `disconnect`: in the clients' files, whether a core runs or not.

use super::args::{ConnectArguments, DisconnectArguments};
use super::core_link::{CoreLink, config_error};
use super::output::{print, rows};
use super::{CliError, Context};
use crate::contract::api::{AiClient, Status};
use crate::contract::exit_code::ExitCode;
use crate::contract::names;
use crate::core::connect::apply::{self, Deed, Refused, Why};
use crate::core::connect::clients::{self, Homes};
use crate::core::connect::proxy::Proxy;

pub async fn connect(context: &Context, link: &CoreLink, options: ConnectArguments) -> Result<(), CliError> {
    let deed = if options.undo {
        Deed::Undo { backup: None }
    } else {
        Deed::Connect {
            force: options.force,
            token: None,
        }
    };
    match options.client {
        Some(client) => change(context, link, &client, options.name.as_deref(), &deed).await,
        None => {
            let list = apply::list(&homes()?, &proxy(context, link).await?);
            print(context.format, &list, |list| table(list))
        }
    }
}

pub async fn disconnect(context: &Context, link: &CoreLink, options: DisconnectArguments) -> Result<(), CliError> {
    change(context, link, &options.client, options.name.as_deref(), &Deed::Disconnect).await
}

async fn change(
    context: &Context,
    link: &CoreLink,
    id: &str,
    server_name: Option<&str>,
    deed: &Deed,
) -> Result<(), CliError> {
    let client = clients::client(id).ok_or_else(|| {
        CliError::new("INVALID_INPUT", format!("no AI client is called `{id}`"))
            .guided("`mcpproxy connect --list` names them")
    })?;
    let result = apply::apply(client, &homes()?, &proxy(context, link).await?, server_name, deed).map_err(refused)?;
    print(context.format, &result, |result| {
        let backup = result.backup_path.as_ref().map(|path| format!("\nThe file of before is `{path}`."));
        format!("{}.{}", result.message, backup.unwrap_or_default())
    })
}

/// The running core's address, or the configured one; the key is the configured one.
async fn proxy(context: &Context, link: &CoreLink) -> Result<Proxy, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let listen = match link.running() {
        Some(client) => client.get::<Status>("/api/v1/status").await.map_err(CliError::from)?.listen_addr,
        None => context.environment.non_empty(names::ENV_LISTEN).unwrap_or(&config.listen).to_owned(),
    };
    let key = context.environment.non_empty(names::ENV_API_KEY).or(config.api_key.as_deref());
    Ok(Proxy::new(&listen, config.require_mcp_auth, key))
}

fn homes() -> Result<Homes, CliError> {
    apply::homes().ok_or_else(|| CliError::new("OPERATION_FAILED", "this user has no home directory"))
}

fn refused(refused: Refused) -> CliError {
    let Refused { why, result } = refused;
    let code = match why {
        Why::Denied => "PERMISSION_DENIED",
        Why::Taken | Why::NotFound | Why::Unsupported => "INVALID_INPUT",
        Why::Conflict | Why::Changed | Why::Malformed | Why::Failed => "OPERATION_FAILED",
    };
    let error = CliError::new(code, result.message);
    match why {
        Why::Taken => error.guided(format!("mcpproxy connect {} --force", result.client)),
        Why::Denied => CliError {
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
            _ if !client.supported => "not supported",
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
