//! `mcpproxy setup`: starts MCPProxy, connects AI clients, imports their servers or adds one, approves them, and proves with
//! a real call that everything works.
//!
//! Every step shows what it would change, can be skipped, and says how to undo it. It skips steps that are already done.

use std::time::Duration;

use serde_json::json;

use crate::ai_clients::edit::{self, Operation};
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::plan::name_for;
use crate::ai_clients::known_clients::{self, Homes};
use crate::cli::add::add;
use crate::cli::add_found;
use crate::cli::approve::approve;
use crate::cli::args::{AddArguments, AddFoundArguments, ApproveArguments, ImportArguments, SetupArguments};
use crate::cli::connect::{homes, proxy};
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::import::{client_servers, import};
use crate::cli::output::say;
use crate::cli::prompt::{ask_line, confirm, is_interactive};
use crate::cli::start_core;
use crate::cli::typed_server::{self, TypedServer};
use crate::client::Client;
use crate::contract::api::{Servers, Setup, SetupProof};
use crate::contract::exit_code::ExitCode;
use crate::contract::setup::{self, Seen, Step};

/// How long approved servers may take to start; a first start may download a package.
const START_SECONDS: u64 = 180;
/// How long the closing calls may take, at most one for each of ten clients.
const PROOF: Duration = Duration::from_secs(300);

/// Guides the user through the steps that are still to be done.
pub(super) async fn setup(context: &Context, link: &CoreLink, options: &SetupArguments) -> Result<ExitCode, CliError> {
    if context.format != Format::Table {
        let error = CliError::usage("INVALID_INPUT", "setup asks questions, so it has no JSON or YAML output");
        return Err(error.guided("use `mcpproxy connect`, `import` and `upstream approve` in scripts"));
    }
    if !options.yes && !is_interactive() {
        return Err(CliError::new("INVALID_INPUT", "could not ask without a terminal")
            .guided("use --yes to do every step without asking"));
    }
    if link.running().is_some() || link.problem().is_some() {
        return guide(context, link, options).await;
    }
    let started = start_core::start(context).await?;
    say("Started MCPProxy in the background. Stop it: mcpproxy stop");
    // Before the first question: the core has recorded that its notice about usage reports was shown.
    start_core::say_output(context);
    guide(context, &started, options).await
}

async fn guide(context: &Context, link: &CoreLink, options: &SetupArguments) -> Result<ExitCode, CliError> {
    let client = link.require()?;
    if !client.is_ours().await? {
        return Err(CliError::new("OPERATION_FAILED", "could not set up: the Go core is running")
            .guided("use `mcpproxy connect`, `import` and `upstream approve`, which work with it"));
    }
    let (homes, proxy) = (homes()?, proxy(context, link).await?);
    let mut seen = Seen::default();
    loop {
        let setup = state(context, link, client, &homes, &proxy).await?;
        let Some(step) = setup::next(&setup, seen) else { return Ok(ExitCode::Clean) };
        seen = seen.with(step);
        match step {
            Step::Connect => connect_all(&setup, &homes, &proxy, options.yes)?,
            Step::Import => import_all(context, link, setup.importable.len(), options.yes).await?,
            Step::Approve => approve_all(context, link, setup.pending.len(), options.yes).await,
            Step::AddServer if options.yes => {
                say(
                    "There is no server yet. Add one:\n  mcpproxy upstream add NAME -- COMMAND\nThen run `mcpproxy setup` again.",
                );
            }
            Step::AddServer => add_server(context, link).await,
            Step::Prove => {
                prove(client).await?;
                say_doubled(&client_servers(context, link).await?.doubled);
            }
        }
    }
}

/// Returns the state of setup. Reads the clients' files in this process, because their places depend on its environment.
async fn state(
    context: &Context,
    link: &CoreLink,
    client: &Client,
    homes: &Homes,
    proxy: &Proxy,
) -> Result<Setup, CliError> {
    let servers = client.get::<Servers>("/api/v1/servers").await?.servers;
    let importable = client_servers(context, link).await?.importable;
    Ok(Setup::new(edit::list(homes, proxy), importable, Vec::new(), &servers))
}

fn connect_all(setup: &Setup, homes: &Homes, proxy: &Proxy, yes: bool) -> Result<(), CliError> {
    let operation = Operation::Connect {
        force: false,
        token: None,
    };
    let clients: Vec<_> = setup.unconnected.iter().filter_map(|client| known_clients::client(&client.id)).collect();
    let names: Vec<&str> = clients.iter().map(|client| client.name).collect();
    say(&format!("\nConnect AI clients: {}", names.join(", ")));
    for client in &clients {
        match edit::dry_run(client, homes, proxy, None, &operation) {
            Ok((_, diff)) => say(&diff),
            Err(refused) => say(&format!("{}: {}", client.name, refused.result.message)),
        }
    }
    if !yes && !confirm("Make these changes?", "--yes")? {
        say("Skipped. Later: mcpproxy connect --all");
        return Ok(());
    }
    for client in clients {
        match edit::apply(client, homes, proxy, None, &operation) {
            Ok(result) => say(&format!("{}\n  Undo: mcpproxy connect {} --undo", result.message, client.id)),
            Err(refused) => say(&format!("{}: {}", client.name, refused.result.message)),
        }
    }
    Ok(())
}

async fn import_all(context: &Context, link: &CoreLink, count: usize, yes: bool) -> Result<(), CliError> {
    say(&format!("\nImport servers from your AI clients: {count} found"));
    let options = ImportArguments {
        file: None,
        from: Vec::new(),
        all: yes,
        only: Vec::new(),
        dry_run: false,
        relocate: false,
        undo: false,
        keychain: false,
        no_keychain: yes,
        yes,
    };
    import(context, link, options).await?;
    say("  Undo: mcpproxy upstream rm NAME");
    Ok(())
}

/// Asks for a server, again after an error, until one was added or the user skips the step.
async fn add_server(context: &Context, link: &CoreLink) {
    say("\nAdd a server: its command (npx -y PACKAGE), its URL, or its name in a registry. Enter skips.");
    loop {
        // The end of the input skips the step, too.
        let line = ask_line("Server: ").unwrap_or_default();
        let added = match typed_server::read(&line) {
            Ok(None) => return say("Skipped. Later: mcpproxy upstream add NAME -- COMMAND"),
            Ok(Some(server)) => add_typed(context, link, server).await,
            Err(problem) => Err(CliError::usage("INVALID_INPUT", problem)),
        };
        match added {
            Ok(()) => return say("  Undo: mcpproxy upstream rm NAME"),
            Err(error) => say_error(&error),
        }
    }
}

async fn add_typed(context: &Context, link: &CoreLink, server: TypedServer) -> Result<(), CliError> {
    let (url, env, command) = match server {
        TypedServer::Registered(name) => return add_found::add(context, link, AddFoundArguments::of(name)).await,
        TypedServer::Remote(url) => (Some(url), Vec::new(), Vec::new()),
        TypedServer::Local { env, command } => (None, env, command),
    };
    let entry = match (&url, command.split_first()) {
        (None, Some((program, arguments))) => json!({"command": program, "args": arguments}),
        (url, _) => json!({"url": url}),
    };
    let options = AddArguments {
        name: entry.as_object().map_or_else(String::new, name_for),
        url,
        header: Vec::new(),
        transport: None,
        env,
        working_dir: None,
        if_not_exists: false,
        command,
        no_quarantine: false,
    };
    add(context, link, options).await
}

/// A server that does not start is reported, and does not end the setup.
async fn approve_all(context: &Context, link: &CoreLink, count: usize, yes: bool) {
    let need = if count == 1 { "1 server needs".to_owned() } else { format!("{count} servers need") };
    say(&format!("\nReview and approve: {need} approval"));
    let options = ApproveArguments {
        name: None,
        tools: Vec::new(),
        all: true,
        yes,
        inspect: false,
        wait: Some(START_SECONDS),
    };
    match approve(context, link, &options).await {
        Ok(()) => say("  Undo: mcpproxy upstream disable NAME"),
        Err(error) => say_error(&error),
    }
}

fn say_error(error: &CliError) {
    let guidance = error.guidance.as_ref().map(|guidance| format!("\n  {guidance}")).unwrap_or_default();
    say(&format!("{}{guidance}", error.message));
}

/// Names the servers that AI clients also start themselves.
fn say_doubled(servers: &[String]) {
    if !servers.is_empty() {
        say(&format!(
            "Your AI clients also start {} themselves, so these tools appear twice. Remove them there:\n  mcpproxy import --all --move",
            servers.join(", ")
        ));
    }
}

/// Makes a call over the entry of each connected AI client.
async fn prove(client: &Client) -> Result<(), CliError> {
    say("\nTest the entry of each AI client with a call");
    let proof: SetupProof = client.clone().with_answer_limit(PROOF).post("/api/v1/setup/proof", None).await?;
    for call in &proof.calls {
        say(&format!("  {}", setup::sentence(call)));
    }
    if proof.calls.iter().any(|call| call.error.is_some()) {
        return Err(CliError::new("CONNECTION_FAILED", "not every test call was successful")
            .guided("see what is wrong with `mcpproxy doctor`"));
    }
    let servers = client.get::<Servers>("/api/v1/servers").await?.stats;
    if servers.connected_servers == 0 {
        return Err(CliError::new("CONNECTION_FAILED", "MCPProxy answers, but none of your servers is connected")
            .guided("see why with `mcpproxy doctor`"));
    }
    let others = match servers.connected_servers < servers.total_servers {
        true => "\nSee why the others are not: mcpproxy doctor",
        false => "",
    };
    say(&format!(
        "It works. {} of {} servers are connected, with {} tools.{others}\nRestart your AI clients to use them.",
        servers.connected_servers, servers.total_servers, servers.total_tools
    ));
    Ok(())
}
