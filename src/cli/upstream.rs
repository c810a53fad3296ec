//! `mcpproxy upstream …`: asks the running core, or edits the configuration file when none runs.

use std::io::{BufRead, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::args::{AddArguments, RemoveArguments};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, missing, no_core, not_found};
use crate::cli::error::CliError;
use crate::cli::output::{Format, print, rows, state};
use crate::client::CallError;
use crate::config::document::EditError;
use crate::config::store::StoreError;
use crate::contract::api::{Approved, LoginStarted, Server, ServerAction, ServerTool, ServerTools, Servers};

/// Printed instead of an empty list.
const NO_SERVERS: &str = "No servers yet. Add one: mcpproxy upstream add NAME -- COMMAND";

/// What a command did to a server's entry.
#[derive(Debug, Serialize)]
struct Change {
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    added: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skipped: bool,
    #[serde(skip)]
    sentence: String,
}

impl Change {
    fn new(name: &str, sentence: String) -> Change {
        Change {
            name: name.to_owned(),
            added: false,
            removed: false,
            skipped: false,
            sentence,
        }
    }
}

pub async fn add(context: &Context, link: &CoreLink, options: AddArguments) -> Result<(), CliError> {
    let entry = entry(&options, context.store.load().map_or(true, |config| config.quarantines()))?;
    let name = options.name.as_str();
    let waits = entry.get("quarantined") == Some(&json!(true));
    let waiting =
        || format!("Added `{name}`. It will not run until you approve it:\n  mcpproxy upstream approve {name}");
    let outcome = match link.running() {
        Some(client) => {
            let sent: Result<ServerAction, CallError> = client.post("/api/v1/servers", Some(&entry)).await;
            match sent {
                Ok(_) if waits => Ok(waiting()),
                Ok(_) => Ok(format!("Added `{name}`. It is starting.")),
                Err(CallError::Status { code: 409, .. }) => Err(None),
                Err(error) => Err(Some(CliError::from(error))),
            }
        }
        None => match link.edit_file(context, |document| document.add_server(name, entry.clone())) {
            Ok(()) if waits => Ok(waiting()),
            Ok(()) => Ok(format!("Added `{name}`. It will start with MCPProxy, which is not running.")),
            Err(StoreError::Edit(EditError::Exists(_))) => Err(None),
            Err(error) => Err(Some(config_error(&error))),
        },
    };
    let done = match outcome {
        Ok(sentence) => Change {
            added: true,
            ..Change::new(name, sentence)
        },
        Err(None) if options.if_not_exists => Change {
            skipped: true,
            ..Change::new(name, format!("A server named `{name}` already exists; nothing changed."))
        },
        Err(None) => {
            return Err(CliError::new("INVALID_INPUT", format!("a server named `{name}` already exists"))
                .guided(format!("choose another name, or remove it first: mcpproxy upstream remove {name}")));
        }
        Err(Some(error)) => return Err(error),
    };
    print(context.format, &done, |done| done.sentence.clone())
}

pub async fn list(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let servers: Vec<Server> = match link.running() {
        Some(client) => client.get::<Servers>("/api/v1/servers").await.map_err(CliError::from)?.servers,
        None => configured(context)?,
    };
    print(context.format, &servers, |servers| {
        let row = |server: &Server| {
            let health = server.health.clone().unwrap_or_default();
            vec![
                server.name.clone(),
                server.protocol.clone(),
                server.tool_count.to_string(),
                server.status.clone(),
                health.summary,
            ]
        };
        rows(&["NAME", "PROTOCOL", "TOOLS", "STATUS", "SUMMARY"], servers.iter().map(row).collect(), NO_SERVERS)
    })
}

pub async fn remove(context: &Context, link: &CoreLink, options: &RemoveArguments) -> Result<(), CliError> {
    let name = options.name.as_str();
    if !options.yes && context.format == Format::Table && !confirmed(name) {
        return Err(CliError::new("OPERATION_FAILED", format!("did not remove `{name}`"))
            .guided("use --yes to remove without asking"));
    }
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
            ..Change::new(name, format!("Removed `{name}`."))
        },
        (true, true) => Change {
            skipped: true,
            ..Change::new(name, format!("No server is named `{name}`; nothing changed."))
        },
        (true, false) => return Err(not_found(name)),
    };
    print(context.format, &done, |done| done.sentence.clone())
}

pub async fn act(context: &Context, link: &CoreLink, name: &str, action: &str) -> Result<(), CliError> {
    let done = match link.running() {
        Some(client) => {
            let path = format!("{}/{action}", server_path(name));
            match client.post::<ServerAction>(&path, None).await {
                Ok(done) => done,
                Err(CallError::Status { code: 404, .. }) => return Err(not_found(name)),
                Err(error) => return Err(error.into()),
            }
        }
        None if matches!(action, "restart" | "logout") => {
            return Err(no_core());
        }
        None => {
            let edit = |document: &mut crate::config::document::Document| {
                document.set_in_server(name, "enabled", json!(action == "enable"))
            };
            match link.edit_file(context, edit) {
                Ok(()) => ServerAction {
                    server: name.to_owned(),
                    action: action.to_owned(),
                    success: true,
                },
                Err(StoreError::Edit(EditError::Unknown(_))) => return Err(not_found(name)),
                Err(error) => return Err(config_error(&error)),
            }
        }
    };
    print(context.format, &done, |done| format!("{} `{}`.", past(&done.action), done.server))
}

/// The first word of the sentence that reports an action.
fn past(action: &str) -> &str {
    match action {
        "enable" => "Enabled",
        "disable" => "Disabled",
        "restart" => "Restarting",
        "logout" => "Signed out of",
        other => other,
    }
}

/// Signs in to a server: prints the URL to open and waits for the result.
pub async fn login(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let client = link.running().ok_or_else(no_core)?;
    // Subscribed first, so that no event is missed.
    let mut events = client.events().await?;
    let path = format!("{}/login", server_path(name));
    let started: LoginStarted = client.post(&path, None).await.map_err(|error| match &error {
        CallError::Status { code: 404, .. } => not_found(name),
        CallError::Status { code: 400, .. } => CliError::new("OPERATION_FAILED", error.to_string()),
        _ => error.into(),
    })?;
    eprintln!("{}\n{}", started.message, started.auth_url.unwrap_or_default());
    loop {
        let servers: Servers = client.get("/api/v1/servers").await?;
        let server = servers.servers.into_iter().find(|server| server.name == name).ok_or_else(|| not_found(name))?;
        let status = server.oauth_status.as_deref();
        if status != Some("pending") {
            if server.connected && status != Some("error") {
                let done = ServerAction {
                    server: server.name,
                    action: "login".to_owned(),
                    success: true,
                };
                return print(context.format, &done, |done| format!("Signed in to `{}`.", done.server));
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

/// Lists a server's tools with their approval state.
pub async fn inspect(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let client = link.running().ok_or_else(no_core)?;
    let path = format!("{}/tools", server_path(name));
    let tools: ServerTools = client.get(&path).await.map_err(|error| missing(error, name))?;
    print(context.format, &tools, |tools| {
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
        let row = |tool: &ServerTool| {
            vec![
                shown(&tool.name),
                state(tool).to_owned(),
                tool.changes.join(", "),
                shown(&tool.description),
            ]
        };
        rows(&["NAME", "STATE", "CHANGED", "DESCRIPTION"], tools.tools.iter().map(row).collect(), "No tools.")
    })
}

/// Approves a server, or tools of it.
pub async fn approve(context: &Context, link: &CoreLink, name: &str, tools: &[String]) -> Result<(), CliError> {
    let Some(client) = link.running() else {
        return approve_in_file(context, link, name, tools);
    };
    let servers: Servers = client.get("/api/v1/servers").await?;
    if tools.is_empty() && servers.servers.iter().any(|server| server.name == name && server.quarantined) {
        let path = format!("{}/unquarantine", server_path(name));
        let done: ServerAction = client.post(&path, None).await.map_err(|error| missing(error, name))?;
        return print(context.format, &done, |done| format!("Approved `{}`. It is starting.", done.server));
    }
    let path = format!("{}/tools/approve", server_path(name));
    let body = if tools.is_empty() { json!({"approve_all": true}) } else { json!({"tools": tools}) };
    let done: Approved = client.post(&path, Some(&body)).await.map_err(|error| missing(error, name))?;
    print(context.format, &done, |done| format!("{}.", done.message))
}

/// Approves a new server in the file. Tools can only be approved while their server runs.
fn approve_in_file(context: &Context, link: &CoreLink, name: &str, tools: &[String]) -> Result<(), CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    if !tools.is_empty() || !config.servers.iter().any(|server| server.name == name && server.quarantined) {
        return Err(no_core());
    }
    link.edit_file(context, |document| document.set_in_server(name, "quarantined", json!(false)))
        .map_err(|error| config_error(&error))?;
    let sentence = format!("Approved `{name}`. It will start with MCPProxy, which is not running.");
    print(context.format, &Change::new(name, sentence), |done| done.sentence.clone())
}

/// The entry to write. With quarantine on, a new server needs approval.
fn entry(options: &AddArguments, quarantines: bool) -> Result<Value, CliError> {
    let invalid = |message: String| CliError::new("INVALID_INPUT", message);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if options.name.is_empty() || options.name.len() > 64 || !options.name.chars().all(allowed) {
        return Err(invalid(format!("invalid server name `{}`: use 1-64 letters, digits, `-` or `_`", options.name)));
    }
    let mut entry = Map::new();
    entry.insert("name".into(), json!(options.name));
    let transport = options.transport.as_deref();
    match (&options.url, options.command.split_first()) {
        (Some(_), None) if transport == Some("stdio") => {
            return Err(invalid("`--transport stdio` needs a command, not a URL".to_owned()));
        }
        (None, Some(_)) if transport.is_some_and(|kind| !matches!(kind, "stdio" | "auto")) => {
            return Err(invalid("`--transport` needs a URL: a command always uses stdio".to_owned()));
        }
        (Some(url), None) => {
            entry.insert("protocol".into(), json!(transport.unwrap_or("streamable-http")));
            entry.insert("url".into(), json!(url));
        }
        (None, Some((command, arguments))) => {
            entry.insert("protocol".into(), json!("stdio"));
            entry.insert("command".into(), json!(command));
            entry.insert("args".into(), json!(arguments));
        }
        _ => {
            return Err(invalid("expected either a URL, or `--` and a command".to_owned()).guided(
                "for example: mcpproxy upstream add files -- npx -y @modelcontextprotocol/server-filesystem ~",
            ));
        }
    }
    let mut headers = Map::new();
    for pair in &options.header {
        let Some((name, value)) = pair.split_once(':').filter(|(name, _)| !name.trim().is_empty()) else {
            // The value may be a secret, so it is not repeated.
            return Err(invalid("invalid `--header`: expected `NAME: VALUE`".to_owned()));
        };
        headers.insert(name.trim().to_owned(), json!(value.trim()));
    }
    if !headers.is_empty() {
        entry.insert("headers".into(), Value::Object(headers));
    }
    let mut environment = Map::new();
    for pair in &options.env {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(invalid(format!("invalid `--env {pair}`: expected NAME=VALUE")));
        };
        environment.insert(name.to_owned(), json!(value));
    }
    if !environment.is_empty() {
        entry.insert("env".into(), Value::Object(environment));
    }
    if let Some(directory) = &options.working_dir {
        entry.insert("working_dir".into(), json!(directory));
    }
    entry.insert("enabled".into(), json!(true));
    if quarantines {
        entry.insert("quarantined".into(), json!(!options.no_quarantine));
    }
    entry.insert("created".into(), json!(format!("{:.0}", jiff::Timestamp::now())));
    Ok(Value::Object(entry))
}

fn configured(context: &Context) -> Result<Vec<Server>, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let server = |server: &crate::config::ServerConfig| Server {
        id: server.name.clone(),
        name: server.name.clone(),
        enabled: server.enabled,
        quarantined: server.quarantined,
        protocol: server.effective_protocol().word().to_owned(),
        status: "not running".to_owned(),
        url: server.url.clone(),
        command: server.command.clone(),
        args: server.args.clone(),
        ..Server::default()
    };
    Ok(config.servers.iter().map(server).collect())
}

fn confirmed(name: &str) -> bool {
    eprint!("Remove server `{name}`? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn server_path(name: &str) -> String {
    format!("/api/v1/servers/{}", crate::client::path_segment(name))
}
