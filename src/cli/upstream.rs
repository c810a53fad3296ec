//! `mcpproxy upstream …`: asks the running core, or edits the configuration file when none runs.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::add::Change;
use crate::cli::args::RemoveArguments;
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, not_found};
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::output::{print, report, rows, say};
use crate::cli::prompt::confirm;
use crate::cli::server_path::server_path;
use crate::client::CallError;
use crate::config::ServerConfig;
use crate::config::document::EditError;
use crate::config::references::{self, Kind};
use crate::config::store::StoreError;
use crate::contract::api::{LoginStarted, Server, ServerAction, ServerActionKind, Servers, SignInStatus};
use crate::contract::words::{HealthAction, ServerStatus};

/// Printed instead of an empty list.
const NO_SERVERS: &str = "No servers yet. Add one: mcpproxy upstream add NAME -- COMMAND";

pub async fn list(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    link.require_response()?;
    let servers: Vec<Server> = match link.running() {
        Some(client) => client.get::<Servers>("/api/v1/servers").await.map_err(CliError::from)?.servers,
        None => configured(context)?,
    };
    print(context.format, &servers, |servers| {
        let row = |server: &Server| {
            let health = server.health.clone().unwrap_or_default();
            vec![
                server.name.clone(),
                server.protocol.to_string(),
                server.tool_count.to_string(),
                status_term(server).to_owned(),
                server.waiting_tools().filter(|_| server.enabled && !server.quarantined).unwrap_or(health.summary),
            ]
        };
        rows(&["NAME", "PROTOCOL", "TOOLS", "STATUS", "SUMMARY"], servers.iter().map(row).collect(), NO_SERVERS)
    })
}

/// A status in the terms of `docs/servers/README.md`.
pub(super) fn term(status: &ServerStatus) -> &str {
    match status {
        ServerStatus::Quarantined => "needs approval",
        ServerStatus::Connecting => "starting",
        status => status.word(),
    }
}

/// The status of a server in the terms of `docs/servers/README.md`.
fn status_term(server: &Server) -> &str {
    let needs_sign_in = server.health.as_ref().is_some_and(|health| health.action == Some(HealthAction::Login));
    match &server.status {
        ServerStatus::Error if needs_sign_in => "sign-in needed",
        status => term(status),
    }
}

pub async fn remove(context: &Context, link: &CoreLink, options: &RemoveArguments) -> Result<(), CliError> {
    let name = options.name.as_str();
    if !options.yes && !exists(context, link, name).await? {
        return if options.if_exists {
            report(context, &skipped(name), |done| done.sentence.clone())
        } else {
            Err(not_found(name))
        };
    }
    if !options.yes && context.format == Format::Table && !confirm(&format!("Remove server `{name}`?"), "--yes")? {
        return Err(CliError::new("OPERATION_FAILED", format!("did not remove `{name}`"))
            .guided("use --yes to remove without asking"));
    }
    let secrets = own_secrets(context, name);
    let unknown = match link.running() {
        Some(client) => match client.delete::<ServerAction>(&server_path(name)).await {
            Ok(_) => false,
            Err(CallError::Status { code: 404, .. }) => true,
            Err(error) => return Err(error.into()),
        },
        None => match link.edit_file(context, |document| document.remove_server(name)) {
            Ok(()) => false,
            Err(StoreError::Edit(EditError::Unknown(_))) => true,
            Err(error) => return Err(config_error(&error)),
        },
    };
    let done = match (unknown, options.if_exists) {
        (false, _) => Change {
            removed: true,
            ..Change::new(name, removed(name, &secrets))
        },
        (true, true) => skipped(name),
        (true, false) => return Err(not_found(name)),
    };
    report(context, &done, |done| done.sentence.clone())
}

/// The secrets in the keychain that only this server uses.
fn own_secrets(context: &Context, name: &str) -> BTreeSet<String> {
    let servers = context.store.load().map(|config| config.servers).unwrap_or_default();
    let (own, others): (Vec<_>, Vec<_>) = servers.iter().partition(|server| server.name == name);
    let names = |servers: Vec<&ServerConfig>| -> BTreeSet<String> {
        servers.into_iter().flat_map(|server| references::names(server, Kind::Secret)).collect()
    };
    names(own).difference(&names(others)).cloned().collect()
}

fn removed(name: &str, secrets: &BTreeSet<String>) -> String {
    let lines = secrets.iter().map(|secret| format!("\n  mcpproxy secrets remove {secret}")).collect::<String>();
    if lines.is_empty() {
        format!("Removed `{name}`.")
    } else {
        format!("Removed `{name}`. No server uses these secrets in the keychain any more; delete them:{lines}")
    }
}

/// The result of a removal of a server that does not exist.
fn skipped(name: &str) -> Change {
    Change {
        skipped: true,
        ..Change::new(name, format!("No server is named `{name}`; nothing changed."))
    }
}

async fn exists(context: &Context, link: &CoreLink, name: &str) -> Result<bool, CliError> {
    let servers = match link.running() {
        Some(client) => client.get::<Servers>("/api/v1/servers").await.map_err(CliError::from)?.servers,
        None => configured(context)?,
    };
    Ok(servers.iter().any(|server| server.name == name))
}

pub async fn act(context: &Context, link: &CoreLink, name: &str, action: ServerActionKind) -> Result<(), CliError> {
    let done = match link.running() {
        Some(client) => {
            let path = format!("{}/{action}", server_path(name));
            match client.post::<ServerAction>(&path, None).await {
                Ok(done) => done,
                Err(CallError::Status { code: 404, .. }) => return Err(not_found(name)),
                Err(error) => return Err(error.into()),
            }
        }
        None if matches!(action, ServerActionKind::Restart | ServerActionKind::Logout) => {
            return link.require().map(|_| ());
        }
        None => {
            let enabled = action == ServerActionKind::Enable;
            let edit = |document: &mut crate::config::document::Document| {
                document.set_in_server(name, "enabled", json!(enabled))
            };
            match link.edit_file(context, edit) {
                Ok(()) => ServerAction {
                    server: name.to_owned(),
                    action,
                    success: true,
                },
                Err(StoreError::Edit(EditError::Unknown(_))) => return Err(not_found(name)),
                Err(error) => return Err(config_error(&error)),
            }
        }
    };
    report(context, &done, |done| format!("{} `{}`.", past(&done.action), done.server))
}

/// The first word of the sentence that reports an action.
fn past(action: &ServerActionKind) -> &str {
    match action {
        ServerActionKind::Enable => "Enabled",
        ServerActionKind::Disable => "Disabled",
        ServerActionKind::Restart => "Restarting",
        ServerActionKind::Logout => "Signed out of",
        other => other.word(),
    }
}

/// Signs in to a server: prints the URL to open and waits for the result.
pub async fn login(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let client = link.require()?;
    // Subscribed first, so that no event is missed.
    let mut events = client.events().await?;
    let path = format!("{}/login", server_path(name));
    let started: LoginStarted = client.post(&path, None).await.map_err(|error| match &error {
        CallError::Status { code: 404, .. } => not_found(name),
        CallError::Status { code: 400, .. } => CliError::new("OPERATION_FAILED", error.to_string()),
        _ => error.into(),
    })?;
    say(&format!("{}\n{}", started.message, started.auth_url.unwrap_or_default()));
    loop {
        let servers: Servers = client.get("/api/v1/servers").await?;
        let server = servers.servers.into_iter().find(|server| server.name == name).ok_or_else(|| not_found(name))?;
        let status = server.oauth_status.as_ref();
        if status != Some(&SignInStatus::Pending) {
            if server.connected && status != Some(&SignInStatus::Error) {
                let done = ServerAction {
                    server: server.name,
                    action: ServerActionKind::Login,
                    success: true,
                };
                return report(context, &done, |done| format!("Signed in to `{}`.", done.server));
            }
            if !server.connecting {
                let still = || "sign-in failed; you are still signed in as before".to_owned();
                let cause = server.last_error.unwrap_or_else(still);
                return Err(CliError::new("OPERATION_FAILED", cause));
            }
        }
        if events.next().await.is_none() {
            return Err(CliError::new("CONNECTION_FAILED", "could not sign in: MCPProxy stopped"));
        }
    }
}

fn configured(context: &Context) -> Result<Vec<Server>, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let server = |server: &crate::config::ServerConfig| Server {
        id: server.name.clone(),
        name: server.name.clone(),
        enabled: server.enabled,
        quarantined: server.quarantined,
        protocol: server.effective_protocol().word().into(),
        status: "not running".into(),
        url: server.url.clone(),
        command: server.command.clone(),
        args: server.args.clone(),
        ..Server::default()
    };
    Ok(config.servers.iter().map(server).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_uses_the_terms_of_the_documentation() {
        let page = include_str!("../../docs/servers/README.md");
        for (server, term) in [
            (json!({"name": "a", "status": "connecting"}), "starting"),
            (json!({"name": "a", "status": "connected"}), "connected"),
            (json!({"name": "a", "status": "error"}), "error"),
            (json!({"name": "a", "status": "quarantined"}), "needs approval"),
            (json!({"name": "a", "status": "error", "health": {"action": "login"}}), "sign-in needed"),
            (json!({"name": "a", "status": "disabled"}), "disabled"),
        ] {
            assert_eq!(status_term(&serde_json::from_value(server).unwrap()), term);
            assert!(page.contains(&format!("\n| {term} | ")), "{term} is not in docs/servers/README.md");
        }
    }
}
