//! `mcpproxy import`: adds the servers of AI clients and files.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::ai_clients::edit;
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::files::{self, Relocated};
use crate::ai_clients::import::plan::{ImportPlan, Selection, with_environment};
use crate::ai_clients::import::read::{Source, read};
use crate::ai_clients::import::{report, secrets};
use crate::ai_clients::known_clients::{self, Client, Homes};
use crate::cli::args::ImportArguments;
use crate::cli::connect::{homes, proxy};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::output::{print, rows};
use crate::cli::prompt::{confirm, is_interactive};
use crate::contract::api::{ImportResult, ServerAction, Servers};
use crate::contract::exit_code::ExitCode;
use crate::os::keychain::{self, Keychain as _, SystemKeychain};

/// Largest text that is read from standard input, in bytes.
const MAX_INPUT: u64 = 16 << 20;

/// The result of the command.
#[derive(Serialize)]
struct ImportReport {
    #[serde(flatten)]
    result: ImportResult,
    dry_run: bool,
    /// Names of servers that need approval before they run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    need_approval: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moved: Vec<Moved>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_moved: Vec<String>,
}

/// Entries that were removed from a client's file, or restored to it.
#[derive(Serialize)]
struct Moved {
    client: String,
    path: String,
    servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
}

impl Moved {
    fn new(client: &Client, relocated: Relocated) -> Moved {
        Moved {
            client: client.id.to_owned(),
            path: relocated.path.display().to_string(),
            servers: relocated.names,
            backup: relocated.backup.map(|path| path.display().to_string()),
        }
    }
}

pub async fn import(context: &Context, link: &CoreLink, options: ImportArguments) -> Result<ExitCode, CliError> {
    let (homes, proxy) = (homes()?, proxy(context, link).await?);
    let clients = options.from.iter().map(|id| client(id)).collect::<Result<Vec<_>, _>>()?;
    if options.undo {
        return undo(context, &homes, &proxy, &clients);
    }
    let (sources, unreadable) = sources(&options, &clients, &homes)?;
    let existing = context.store.document().map_err(|error| config_error(&error))?.entries();
    let selection = Selection {
        only: options.only.clone(),
        ..Selection::default()
    };
    let workspace = options.file.as_deref().and_then(files::workspace);
    let mut plan = with_environment(&sources, &existing, &selection, &proxy, workspace);
    plan.warnings.extend(unreadable);
    let chosen = options.all || options.file.is_some() || !clients.is_empty();
    let asks = !chosen && !options.yes && !options.dry_run && context.format == Format::Table && is_interactive();
    let dry_run = options.dry_run || !chosen && !options.yes;
    if dry_run {
        print_report(context, &plan, &sources, true, Vec::new(), Vec::new())?;
        let count = plan.imported.len();
        if !asks || count == 0 {
            if !chosen && count > 0 && context.format == Format::Table {
                eprintln!("Import them with: mcpproxy import --all");
            }
            return Ok(exit_code(&plan));
        }
        if !confirm(&format!("Import {}?", servers(count)), "--all")? {
            return Ok(ExitCode::Clean);
        }
    }
    move_secrets(&options, &mut plan).await?;
    add(context, link, &mut plan).await?;
    let (moved, not_moved) = match options.relocate {
        true => relocate(link, &plan, &homes, &proxy).await?,
        false => (Vec::new(), Vec::new()),
    };
    print_report(context, &plan, &sources, false, moved, not_moved)?;
    Ok(exit_code(&plan))
}

/// The servers in the files of AI clients.
pub(super) struct ClientServers {
    /// Names of those that could be imported.
    pub importable: Vec<String>,
    /// Names of those that MCPProxy has, too, so their tools appear twice.
    pub doubled: Vec<String>,
}

/// Compares the files of AI clients with the configuration.
///
/// # Errors
/// The configuration cannot be read.
pub(super) async fn client_servers(context: &Context, link: &CoreLink) -> Result<ClientServers, CliError> {
    let (homes, proxy) = (homes()?, proxy(context, link).await?);
    let options = ImportArguments {
        file: None,
        from: Vec::new(),
        all: true,
        only: Vec::new(),
        dry_run: true,
        relocate: false,
        undo: false,
        keychain: false,
        no_keychain: true,
        yes: false,
    };
    let (sources, _) = sources(&options, &[], &homes)?;
    let existing = context.store.document().map_err(|error| config_error(&error))?.entries();
    let plan = with_environment(&sources, &existing, &Selection::default(), &proxy, None);
    let is_ours = |name: &String| existing.iter().any(|(ours, _)| ours == name);
    let doubled = plan.skipped.into_iter().filter(|server| server.same_as.as_ref().is_some_and(is_ours));
    Ok(ClientServers {
        doubled: doubled.map(|server| server.name).collect::<BTreeSet<_>>().into_iter().collect(),
        importable: plan.imported.into_iter().map(|server| server.name).collect(),
    })
}

/// A server that cannot be imported is an error only if nothing else was done, and one that was named and does not exist always.
fn exit_code(plan: &ImportPlan) -> ExitCode {
    let nothing_else = plan.imported.is_empty() && plan.skipped.is_empty();
    let failed = nothing_else && !plan.failed.is_empty() || !plan.unknown.is_empty();
    if failed { ExitCode::General } else { ExitCode::Clean }
}

fn client(id: &str) -> Result<&'static Client, CliError> {
    known_clients::client(id).ok_or_else(|| {
        CliError::new("INVALID_INPUT", format!("unknown AI client `{id}`"))
            .guided("see all clients with `mcpproxy connect --list`")
    })
}

/// The sources that the options name, and the errors of files that are not essential.
fn sources(
    options: &ImportArguments,
    clients: &[&'static Client],
    homes: &Homes,
) -> Result<(Vec<Source>, Vec<String>), CliError> {
    let failed = |error: String| CliError::new("OPERATION_FAILED", error);
    if let Some(path) = &options.file {
        let source = if path == Path::new("-") { from_standard_input() } else { files::of_file(path, None) };
        return Ok((vec![source.map_err(failed)?], Vec::new()));
    }
    if clients.is_empty() {
        return Ok(files::of_all(homes));
    }
    let mut sources = Vec::new();
    for client in clients {
        match files::of_client(client, homes).map_err(failed)? {
            Some(source) => sources.push(source),
            None => {
                let path = edit::config_path(client, homes).path;
                let message = format!("{} has no configuration file (`{}`)", client.name, path.display());
                return Err(failed(message));
            }
        }
    }
    Ok((sources, Vec::new()))
}

fn from_standard_input() -> Result<Source, String> {
    let mut text = String::new();
    let read_bytes = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
    read_bytes.map_err(|error| format!("could not read standard input: {error}"))?;
    read(&text, None, None, "standard input").map_err(|error| {
        let place = error.at.map(|(line, column)| format!(", line {line}, column {column}")).unwrap_or_default();
        format!("standard input{place}: {}", error.problem)
    })
}

/// Moves the secrets of the new entries to the keychain, if the user agrees.
async fn move_secrets(options: &ImportArguments, plan: &mut ImportPlan) -> Result<(), CliError> {
    let count: usize = plan.imported.iter().map(|one| one.secrets.len()).sum();
    if count == 0 || options.no_keychain {
        return Ok(());
    }
    let secrets = if count == 1 { "1 secret".to_owned() } else { format!("{count} secrets") };
    let question = format!("Move {secrets} from the entries to the system keychain?");
    let wanted = options.keychain || !options.yes && is_interactive() && confirm(&question, "--keychain")?;
    if !wanted {
        plan.warnings
            .push(format!("kept {secrets} in the configuration file; --keychain stores secrets in the keychain"));
        return Ok(());
    }
    for one in &mut plan.imported {
        for secret in std::mem::take(&mut one.secrets) {
            let (name, value) = (secret.name.clone(), secret.value().to_owned());
            let stored = keychain::ask(move || SystemKeychain.write(&name, &value)).await;
            stored.map_err(|error| {
                CliError::new("OPERATION_FAILED", format!("could not store a secret of `{}`: {error}", one.name))
                    .guided("nothing was imported; import without --keychain to keep secrets in the file")
            })?;
            secrets::replace(&mut one.entry, &secret);
            one.warnings.push(format!("moved {}.{} to the keychain as `{}`", secret.block, secret.key, secret.name));
        }
    }
    Ok(())
}

/// Adds the servers through the running core, or to the configuration file.
async fn add(context: &Context, link: &CoreLink, plan: &mut ImportPlan) -> Result<(), CliError> {
    let quarantines = context.store.load().map_or(true, |config| config.quarantines());
    let entries: Vec<(String, Map<String, Value>)> =
        plan.imported.iter().map(|one| (one.name.clone(), one.clone().into_entry(quarantines))).collect();
    if entries.is_empty() {
        return Ok(());
    }
    match link.running() {
        Some(client) => {
            for (_, entry) in entries {
                let _: ServerAction = client.post("/api/v1/servers", Some(&Value::Object(entry))).await?;
            }
            Ok(())
        }
        None => link
            .edit_file(context, |document| {
                entries.iter().try_for_each(|(name, entry)| document.add_new_server(name, Value::Object(entry.clone())))
            })
            .map_err(|error| config_error(&error)),
    }
}

/// Removes from the clients' files what MCPProxy serves, and says why it leaves the rest.
async fn relocate(
    link: &CoreLink,
    plan: &ImportPlan,
    homes: &Homes,
    proxy: &Proxy,
) -> Result<(Vec<Moved>, Vec<String>), CliError> {
    let served: Vec<String> = match link.running() {
        Some(client) => {
            let servers = client.get::<Servers>("/api/v1/servers").await?.servers;
            servers.into_iter().filter(|server| server.connected).map(|server| server.name).collect()
        }
        None => Vec::new(),
    };
    let (mut moved, mut not_moved) = (Vec::new(), Vec::new());
    for client in &known_clients::CLIENTS {
        let imported = plan.imported.iter().filter(|one| one.format == client.id);
        let known = plan.skipped.iter().filter(|one| one.format == client.id);
        let names: Vec<(&str, &str)> = imported
            .map(|one| (one.original_name.as_str(), one.name.as_str()))
            .chain(known.filter_map(|one| Some((one.name.as_str(), one.same_as.as_deref()?))))
            .collect();
        if names.is_empty() {
            continue;
        }
        if !edit::inspect(client, homes, proxy, true).connected {
            not_moved.push(format!("{} does not use MCPProxy yet: mcpproxy connect {}", client.name, client.id));
            continue;
        }
        let (ready, waiting): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|(_, ours)| served.iter().any(|name| name == ours));
        not_moved.extend(waiting.iter().map(|(original, ours)| {
            format!(
                "`{original}` stays in {} until `{ours}` is approved and connected; then repeat --move",
                client.name
            )
        }));
        if !ready.is_empty() {
            let ready: Vec<String> = ready.into_iter().map(|(original, _)| original.to_owned()).collect();
            match files::remove(client, homes, &ready) {
                Ok(relocated) => moved.push(Moved::new(client, relocated)),
                Err(error) => not_moved.push(error),
            }
        }
    }
    Ok((moved, not_moved))
}

/// Restores what `--move` removed.
fn undo(context: &Context, homes: &Homes, proxy: &Proxy, clients: &[&'static Client]) -> Result<ExitCode, CliError> {
    let mut restored = Vec::new();
    for client in clients {
        let relocated =
            files::restore(client, homes, proxy).map_err(|error| CliError::new("OPERATION_FAILED", error))?;
        restored.push(Moved::new(client, relocated));
    }
    print(context.format, &restored, |restored| {
        let line = |one: &Moved| {
            format!("Restored {} in `{}`: {}", servers(one.servers.len()), one.path, one.servers.join(", "))
        };
        restored.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitCode::Clean)
}

fn print_report(
    context: &Context,
    plan: &ImportPlan,
    sources: &[Source],
    dry_run: bool,
    moved: Vec<Moved>,
    not_moved: Vec<String>,
) -> Result<(), CliError> {
    let quarantines = context.store.load().map_or(true, |config| config.quarantines());
    let need_approval = match dry_run || !quarantines {
        true => Vec::new(),
        false => plan.imported.iter().map(|one| one.name.clone()).collect(),
    };
    let report = ImportReport {
        result: report::result(plan, sources),
        dry_run,
        need_approval,
        moved,
        not_moved,
    };
    print(context.format, &report, table)
}

fn servers(count: usize) -> String {
    if count == 1 { "1 server".to_owned() } else { format!("{count} servers") }
}

fn table(report: &ImportReport) -> String {
    let result = &report.result;
    let mut blocks = Vec::new();
    if !result.imported.is_empty() {
        let title = if report.dry_run { "Would import" } else { "Imported" };
        let row = |one: &crate::contract::api::ImportedServer| {
            let target = one.url.clone().or_else(|| {
                let words = one.command.iter().chain(&one.args).map(String::as_str);
                Some(words.collect::<Vec<_>>().join(" "))
            });
            vec![one.name.clone(), one.source_format.clone(), target.unwrap_or_default()]
        };
        let rows = rows(&["NAME", "FROM", "COMMAND OR URL"], result.imported.iter().map(row).collect(), "");
        blocks.push(format!("{title} {}:\n{rows}", servers(result.imported.len())));
    } else if result.skipped.is_empty() && result.failed.is_empty() {
        blocks.push("No servers found to import.".to_owned());
    }
    let list = |title: &str, lines: Vec<String>| {
        (!lines.is_empty()).then(|| {
            format!("{title}:\n{}", lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
        })
    };
    blocks.extend(list("Skipped", result.skipped.iter().map(|one| format!("{}: {}", one.name, one.reason)).collect()));
    blocks.extend(list("Failed", result.failed.iter().map(|one| format!("{}: {}", one.name, one.error)).collect()));
    let notes = result.imported.iter().flat_map(|one| {
        let skipped = (!one.fields_skipped.is_empty()).then(|| format!("ignored {}", one.fields_skipped.join(", ")));
        one.warnings.iter().cloned().chain(skipped).map(|note| format!("{}: {note}", one.name)).collect::<Vec<_>>()
    });
    blocks.extend(list("Notes", notes.chain(result.warnings.iter().cloned()).collect()));
    let moved = report.moved.iter().map(|one| {
        let backup = one.backup.as_ref().map(|path| format!(" (backup: {path})")).unwrap_or_default();
        format!(
            "{} from `{}`{backup}; undo: mcpproxy import --from {} --undo",
            one.servers.join(", "),
            one.path,
            one.client
        )
    });
    blocks.extend(list("Moved", moved.collect()));
    blocks.extend(list("Not moved", report.not_moved.clone()));
    if !report.need_approval.is_empty() {
        blocks.push("They will not run until you approve them:\n  mcpproxy upstream approve --all".to_owned());
    }
    blocks.join("\n")
}
