//! `mcpproxy uninstall`: undoes what MCPProxy has changed outside its data directory, and says what remains.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ai_clients::backups::backups;
use crate::ai_clients::edit::{self, Operation};
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::known_clients::{self, Homes};
use crate::cli::args::UninstallArguments;
use crate::cli::connect::{homes, proxy};
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::{print, say};
use crate::cli::prompt::confirm;
use crate::config::references::{self, Kind};
use crate::contract::api::AiClient;
use crate::contract::exit_code::ExitCode;
use crate::contract::names;
use crate::os::keychain::{self, Keychain as _, SystemKeychain};
use crate::os::own_path;
use crate::upstream::oauth::token_store;

/// Everything that would be removed.
#[derive(Debug, Default, Serialize)]
struct Plan {
    /// AI clients with an entry of this MCPProxy.
    clients: Vec<String>,
    /// Secrets in the system's keychain.
    secrets: Vec<String>,
    /// Copies of the clients' files from before an edit.
    backups: Vec<PathBuf>,
    /// The tray app, which removes the launch-at-login entry.
    tray: Option<PathBuf>,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    removed: Vec<String>,
    failed: Vec<String>,
    remains: Vec<String>,
}

/// Asks, removes and reports.
pub(super) async fn uninstall(
    context: &Context,
    link: &CoreLink,
    options: &UninstallArguments,
) -> Result<ExitCode, CliError> {
    let (homes, proxy) = (homes()?, proxy(context, link).await?);
    let clients = edit::list(&homes, &proxy);
    let plan = plan(context, &clients, options);
    if options.dry_run {
        return print(context.format, &plan, |plan| format!("`mcpproxy uninstall` would:\n{}", shown(plan)))
            .map(|()| ExitCode::Clean);
    }
    if !options.yes {
        say(&format!("`mcpproxy uninstall` will:\n{}", shown(&plan)));
        if !confirm("Uninstall?", "--yes")? {
            return Err(CliError::new("OPERATION_FAILED", "nothing was removed")
                .guided("use --yes to uninstall without asking"));
        }
    }
    let mut done = Done::default();
    disconnect(&plan, &homes, &proxy, &mut done);
    if done.failed.is_empty() {
        // Kept while a client's file may still have to be restored.
        remove_backups(&clients, options, &mut done);
    }
    remove_secrets(&plan.secrets, &mut done).await;
    let left = keychain::ask(SystemKeychain::names).await.unwrap_or_default();
    if !left.is_empty() {
        let why = "no server here uses them; delete each with `mcpproxy secrets remove NAME`";
        done.remains.push(format!("in the keychain: {} ({why})", left.join(", ")));
    }
    end(&plan, link, &mut done).await;
    done.remains.push(format!("your settings, approvals and logs: {}", context.root.path().display()));
    done.remains.push(format!("the programs: {}", package_command()));
    let code = if done.failed.is_empty() { ExitCode::Clean } else { ExitCode::General };
    print(context.format, &done, summary).map(|()| code)
}

fn plan(context: &Context, clients: &[AiClient], options: &UninstallArguments) -> Plan {
    let servers = context.store.load().map(|config| config.servers).unwrap_or_default();
    let mut secrets: std::collections::BTreeSet<String> =
        servers.iter().flat_map(|server| references::names(server, Kind::Secret)).collect();
    // Without it, the stored sign-ins are unreadable.
    secrets.extend(token_store::key_name(&context.root.oauth_tokens()));
    let connected = clients.iter().filter(|client| client.connected).map(|client| client.id.clone());
    Plan {
        clients: connected.collect(),
        secrets: secrets.into_iter().collect(),
        backups: if options.keep_backups { Vec::new() } else { backup_files(clients) },
        tray: tray(),
    }
}

fn backup_files(clients: &[AiClient]) -> Vec<PathBuf> {
    let of_client = |client: &AiClient| {
        let file = Path::new(&client.config_path).to_path_buf();
        backups(&file).into_iter().map(move |backup| file.with_file_name(backup.name))
    };
    clients.iter().filter(|client| !client.config_path.is_empty()).flat_map(of_client).collect()
}

/// The tray app beside this program.
fn tray() -> Option<PathBuf> {
    let program = own_path::lasting().ok()?.with_file_name(names::TRAY_PROGRAM);
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    program.exists().then_some(program)
}

fn disconnect(plan: &Plan, homes: &Homes, proxy: &Proxy, done: &mut Done) {
    for client in plan.clients.iter().filter_map(|id| known_clients::client(id)) {
        match edit::apply(client, homes, proxy, None, &Operation::Disconnect) {
            Ok(result) => done.removed.push(result.message),
            Err(refused) => done.failed.push(refused.result.message),
        }
    }
}

fn remove_backups(clients: &[AiClient], options: &UninstallArguments, done: &mut Done) {
    if options.keep_backups {
        return;
    }
    for file in backup_files(clients) {
        match std::fs::remove_file(&file) {
            Ok(()) => done.removed.push(format!("Deleted the backup `{}`.", file.display())),
            Err(error) => done.failed.push(format!("could not delete `{}`: {error}", file.display())),
        }
    }
}

async fn remove_secrets(secrets: &[String], done: &mut Done) {
    for name in secrets {
        let wanted = name.clone();
        match keychain::ask(move || SystemKeychain.remove(&wanted)).await {
            Ok(true) => done.removed.push(format!("Deleted the secret `{name}` from the keychain.")),
            Ok(false) => {}
            Err(error) => done.failed.push(format!("could not delete the secret `{name}`: {error}")),
        }
    }
}

/// Removes the launch-at-login entry, and quits the tray app and the core.
async fn end(plan: &Plan, link: &CoreLink, done: &mut Done) {
    if let Some(tray) = &plan.tray {
        for (argument, text) in [
            ("--quit", "Quit the tray app."),
            ("--unregister", "Removed the launch-at-login entry."),
        ] {
            match tokio::process::Command::new(tray).arg(argument).output().await {
                Ok(output) if output.status.success() => done.removed.push(text.to_owned()),
                Ok(output) => {
                    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    done.failed.push(format!("`{} {argument}` failed: {error}", tray.display()));
                }
                Err(error) => done.failed.push(format!("could not run `{}`: {error}", tray.display())),
            }
        }
    }
    // A core that the tray does not own still runs. One that the tray has stopped does not answer.
    if let Some(core) = link.running()
        && core.post::<serde_json::Value>("/api/v1/shutdown", None).await.is_ok()
    {
        done.removed.push("Stopped MCPProxy.".to_owned());
    }
}

const fn package_command() -> &'static str {
    if cfg!(windows) {
        "Settings > Apps > MCPProxy > Uninstall"
    } else if cfg!(target_os = "macos") {
        "/Applications/MCPProxy.app/Contents/Resources/uninstall"
    } else {
        "sudo apt remove mcpproxy, or sudo dnf remove mcpproxy"
    }
}

fn shown(plan: &Plan) -> String {
    let mut lines = Vec::new();
    let mut add = |what: &str, items: Vec<String>| {
        if !items.is_empty() {
            lines.push(format!("  {what}: {}", items.join(", ")));
        }
    };
    add("Remove MCPProxy from", plan.clients.clone());
    add("Delete from the keychain", plan.secrets.clone());
    add("Delete backups", plan.backups.iter().map(|path| path.display().to_string()).collect());
    if plan.tray.is_some() {
        lines.push("  Quit the tray app and MCPProxy, and remove the launch-at-login entry".to_owned());
    }
    if lines.is_empty() {
        lines.push("  Nothing: MCPProxy has changed nothing outside its data directory".to_owned());
    }
    lines.join("\n")
}

fn summary(done: &Done) -> String {
    let mut lines = done.removed.clone();
    lines.extend(done.failed.iter().map(|failed| format!("error: {failed}")));
    lines.push("What remains:".to_owned());
    lines.extend(done.remains.iter().map(|left| format!("  {left}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_everything_that_goes() {
        let plan = Plan {
            clients: vec!["cursor".to_owned(), "codex".to_owned()],
            secrets: vec!["github".to_owned()],
            backups: vec![PathBuf::from("/h/.cursor/mcp.json.backup")],
            tray: Some(PathBuf::from("/usr/bin/mcpproxy-tray")),
        };
        let text = shown(&plan);
        for part in [
            "cursor, codex",
            "keychain: github",
            "mcp.json.backup",
            "launch-at-login",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(shown(&Plan::default()).contains("nothing outside"));
    }
}
