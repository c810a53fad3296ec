//! `mcpproxy setup`: connects AI clients, imports their servers, approves them, and proves with a real call that
//! everything works.
//!
//! Every step shows what it would change, can be skipped, and says how to undo it. It skips steps that are already done.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::ai_clients::edit::{self, Operation};
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::known_clients::{self, Homes};
use crate::cli::approve::approve;
use crate::cli::args::{ApproveArguments, ImportArguments, SetupArguments};
use crate::cli::connect::{homes, proxy};
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::import::{import, importable};
use crate::cli::output::say;
use crate::cli::prompt::{confirm, is_interactive};
use crate::client::Client;
use crate::contract::api::{AiClient, Server, Servers};
use crate::contract::exit_code::ExitCode;

/// How long approved servers may take to start; a first start may download a package.
const START_SECONDS: u64 = 180;
/// How long the closing call may take.
const CALL: Duration = Duration::from_secs(30);

/// A step that is still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Adds MCPProxy to these AI clients.
    Connect(Vec<String>),
    /// Imports this many servers from AI clients.
    Import(usize),
    /// Approves this many servers, or their tools.
    Approve(usize),
    /// No tool can be called yet: the user has to add a server.
    AddServer,
    /// Makes a call as an AI client does.
    Prove,
}

/// The facts before a step.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct State {
    /// Installed AI clients that are not connected.
    unconnected: Vec<String>,
    importable: usize,
    /// Servers that need approval, or whose tools do.
    pending: usize,
    servers: usize,
}

/// The steps that the user has seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    connect: bool,
    import: bool,
    approve: bool,
    prove: bool,
}

/// The next step; `None` when all is done. Each step comes once, whatever the user chose.
fn next(state: &State, seen: Seen) -> Option<Step> {
    if !seen.import && state.importable > 0 {
        return Some(Step::Import(state.importable));
    }
    if !seen.approve && state.pending > 0 {
        return Some(Step::Approve(state.pending));
    }
    if !seen.connect && !state.unconnected.is_empty() {
        return Some(Step::Connect(state.unconnected.clone()));
    }
    if seen.prove {
        return None;
    }
    Some(if state.servers == 0 { Step::AddServer } else { Step::Prove })
}

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
    let client = link.require()?;
    let (homes, proxy) = (homes()?, proxy(context, link).await?);
    let mut seen = Seen::default();
    while let Some(step) = next(&state(context, link, client, &homes, &proxy).await?, seen) {
        match &step {
            Step::Connect(ids) => {
                seen.connect = true;
                connect_all(ids, &homes, &proxy, options.yes)?;
            }
            Step::Import(count) => {
                seen.import = true;
                import_all(context, link, *count, options.yes).await?;
            }
            Step::Approve(count) => {
                seen.approve = true;
                approve_all(context, link, *count, options.yes).await;
            }
            Step::AddServer => {
                say(
                    "There is no server yet. Add one:\n  mcpproxy upstream add NAME -- COMMAND\nThen run `mcpproxy setup` again.",
                );
                return Ok(ExitCode::Clean);
            }
            Step::Prove => {
                seen.prove = true;
                prove(client).await?;
            }
        }
    }
    Ok(ExitCode::Clean)
}

async fn state(
    context: &Context,
    link: &CoreLink,
    client: &Client,
    homes: &Homes,
    proxy: &Proxy,
) -> Result<State, CliError> {
    let servers = client.get::<Servers>("/api/v1/servers").await?.servers;
    let needs_approval = |server: &&Server| server.quarantined || server.waiting_tools().is_some();
    let waits = |client: &AiClient| client.exists && !client.connected && client.supported;
    Ok(State {
        unconnected: edit::list(homes, proxy).into_iter().filter(waits).map(|client| client.id).collect(),
        importable: importable(context, link).await?,
        pending: servers.iter().filter(needs_approval).count(),
        servers: servers.len(),
    })
}

fn connect_all(ids: &[String], homes: &Homes, proxy: &Proxy, yes: bool) -> Result<(), CliError> {
    let operation = Operation::Connect {
        force: false,
        token: None,
    };
    let clients: Vec<_> = ids.iter().filter_map(|id| known_clients::client(id)).collect();
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
    if let Err(error) = approve(context, link, &options).await {
        let guidance = error.guidance.map(|guidance| format!("\n  {guidance}")).unwrap_or_default();
        say(&format!("{}{guidance}", error.message));
    } else {
        say("  Undo: mcpproxy upstream disable NAME");
    }
}

/// Calls the search tool at `/mcp`, as an AI client does.
async fn prove(client: &Client) -> Result<(), CliError> {
    let began = Instant::now();
    let called = tokio::time::timeout(CALL, call(client)).await;
    let failed = |why: String| {
        CliError::new("CONNECTION_FAILED", format!("the call at `/mcp` failed: {why}"))
            .guided("see what is wrong with `mcpproxy doctor`")
    };
    called.map_err(|_| failed(format!("no answer within {} s", CALL.as_secs())))?.map_err(failed)?;
    let took = began.elapsed().as_millis();
    let servers = client.get::<Servers>("/api/v1/servers").await?.stats;
    say(&format!(
        "\nIt works: a client's call was answered in {took} ms. {} of {} servers are connected, with {} tools.\nRestart your AI \
         clients to use them.",
        servers.connected_servers, servers.total_servers, servers.total_tools
    ));
    Ok(())
}

/// A session as an AI client opens it, and one call of the search tool.
async fn call(client: &Client) -> Result<(), String> {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "mcpproxy-setup", "version": env!("CARGO_PKG_VERSION")}}});
    let mut reply = client.exchange_message(Method::POST, &[], Some(&initialize)).await.map_err(text)?;
    let session = reply.session.clone();
    answer(&mut reply, 1).await?;
    let headers: Vec<(&str, String)> = session.map(|id| ("mcp-session-id", id)).into_iter().collect();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    client.exchange_message(Method::POST, &headers, Some(&initialized)).await.map_err(text)?;
    let search = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "retrieve_tools", "arguments": {"query": "list files"}}});
    let mut reply = client.exchange_message(Method::POST, &headers, Some(&search)).await.map_err(text)?;
    let answered = answer(&mut reply, 2).await;
    let _ = client.exchange_message(Method::DELETE, &headers, None).await;
    answered
}

/// Waits for the response to this request.
async fn answer(reply: &mut crate::client::Reply, id: u32) -> Result<(), String> {
    while let Some(message) = reply.next().await {
        if message.get("id").and_then(Value::as_u64) == Some(id.into()) {
            return match message.get("error") {
                Some(error) => Err(error.to_string()),
                None => Ok(()),
            };
        }
    }
    Err(format!("no response (HTTP {})", reply.status))
}

fn text(error: crate::client::CallError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_comes_once_and_only_when_it_is_needed() {
        let state = State {
            unconnected: vec!["cursor".to_owned()],
            importable: 2,
            pending: 0,
            servers: 0,
        };
        let mut seen = Seen::default();
        assert_eq!(next(&state, seen), Some(Step::Import(2)));
        seen.import = true;
        // The import has added servers that need approval.
        let state = State {
            pending: 2,
            servers: 2,
            ..state
        };
        assert_eq!(next(&state, seen), Some(Step::Approve(2)));
        seen.approve = true;
        assert_eq!(next(&state, seen), Some(Step::Connect(vec!["cursor".to_owned()])), "skipped steps do not return");
        seen.connect = true;
        assert_eq!(next(&state, seen), Some(Step::Prove));
        seen.prove = true;
        assert_eq!(next(&state, seen), None);
        assert_eq!(next(&State::default(), Seen::default()), Some(Step::AddServer));
    }
}
