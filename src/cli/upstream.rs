//! `mcpproxy upstream …`: through the running core, or in the configuration file when none runs.

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

#[derive(Debug, Serialize)]
struct Done {
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

impl Done {
    fn new(name: &str, sentence: String) -> Done {
        Done {
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
    let waiting = || {
        format!(
            "Added `{name}`; it waits for your approval: `mcpproxy upstream approve {name}` lets its program run and its tools be called."
        )
    };
    let outcome = match link.running() {
        Some(client) => {
            let sent: Result<ServerAction, CallError> = client.post("/api/v1/servers", Some(&entry)).await;
            match sent {
                Ok(_) if waits => Ok(waiting()),
                Ok(_) => Ok(format!("Added `{name}`; the core is starting it.")),
                Err(CallError::Status { code: 409, .. }) => Err(None),
                Err(error) => Err(Some(CliError::from(error))),
            }
        }
        None => match link.edit_file(context, |document| document.add_server(name, entry.clone())) {
            Ok(()) if waits => Ok(waiting()),
            Ok(()) => Ok(format!("Added `{name}`; it starts with the core, which is not running now.")),
            Err(StoreError::Edit(EditError::Exists(_))) => Err(None),
            Err(error) => Err(Some(config_error(&error))),
        },
    };
    let done = match outcome {
        Ok(sentence) => Done {
            added: true,
            ..Done::new(name, sentence)
        },
        Err(None) if options.if_not_exists => Done {
            skipped: true,
            ..Done::new(name, format!("`{name}` is there already; nothing was changed."))
        },
        Err(None) => {
            return Err(CliError::new("INVALID_INPUT", format!("a server called `{name}` is there already"))
                .guided("choose another name, or remove that one first"));
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
        rows(&["NAME", "PROTOCOL", "TOOLS", "STATUS", "SUMMARY"], servers.iter().map(row).collect())
    })
}

pub async fn remove(context: &Context, link: &CoreLink, options: &RemoveArguments) -> Result<(), CliError> {
    let name = options.name.as_str();
    if !options.yes && context.format == Format::Table && !confirmed(name) {
        return print(context.format, &Done::new(name, "Operation cancelled".into()), |done| done.sentence.clone());
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
        (false, _) => Done {
            removed: true,
            ..Done::new(name, format!("Removed `{name}`."))
        },
        (true, true) => Done {
            skipped: true,
            ..Done::new(name, format!("No server is called `{name}`; nothing was changed."))
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
    print(context.format, &done, |done| format!("`{}`: {} done.", done.server, done.action))
}

/// Signs in to a server: tells where, and waits until the person has.
pub async fn login(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let client = link.running().ok_or_else(no_core)?;
    // Before anything happens: no change is missed then.
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
                let before = "the sign-in failed; the one of before stays".to_owned();
                let why = server.last_error.unwrap_or(before);
                return Err(CliError::new("OPERATION_FAILED", why));
            }
        }
        if events.next().await.is_none() {
            return Err(CliError::new("CONNECTION_FAILED", "the core ended before anybody signed in"));
        }
    }
}

/// A server's tools with their approval.
pub async fn inspect(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let client = link.running().ok_or_else(no_core)?;
    let path = format!("{}/tools", server_path(name));
    let tools: ServerTools = client.get(&path).await.map_err(|error| missing(error, name))?;
    print(context.format, &tools, |tools| {
        // A server's own text: its control characters are not for this terminal.
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
        let row = |tool: &ServerTool| {
            vec![
                shown(&tool.name),
                state(tool).to_owned(),
                tool.changes.join(", "),
                shown(&tool.description),
            ]
        };
        rows(&["NAME", "STATE", "CHANGED", "DESCRIPTION"], tools.tools.iter().map(row).collect())
    })
}

/// Approves tools of a server.
pub async fn approve(context: &Context, link: &CoreLink, name: &str, tools: &[String]) -> Result<(), CliError> {
    let Some(client) = link.running() else {
        return approve_in_file(context, link, name, tools);
    };
    let servers: Servers = client.get("/api/v1/servers").await?;
    if tools.is_empty() && servers.servers.iter().any(|server| server.name == name && server.quarantined) {
        let path = format!("{}/unquarantine", server_path(name));
        let done: ServerAction = client.post(&path, None).await.map_err(|error| missing(error, name))?;
        return print(context.format, &done, |done| format!("`{}` approved; it is being started.", done.server));
    }
    let path = format!("{}/tools/approve", server_path(name));
    let body = if tools.is_empty() { json!({"approve_all": true}) } else { json!({"tools": tools}) };
    let done: Approved = client.post(&path, Some(&body)).await.map_err(|error| missing(error, name))?;
    print(context.format, &done, |done| format!("{}.", done.message))
}

/// Lets a server in that waits as a whole; tools can only be approved while their server runs.
fn approve_in_file(context: &Context, link: &CoreLink, name: &str, tools: &[String]) -> Result<(), CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    if !tools.is_empty() || !config.servers.iter().any(|server| server.name == name && server.quarantined) {
        return Err(no_core());
    }
    link.edit_file(context, |document| document.set_in_server(name, "quarantined", json!(false)))
        .map_err(|error| config_error(&error))?;
    let sentence = format!("`{name}` approved; it starts with the core, which is not running now.");
    print(context.format, &Done::new(name, sentence), |done| done.sentence.clone())
}

/// The entry as it is written; a new server waits for approval where that is on.
fn entry(options: &AddArguments, quarantines: bool) -> Result<Value, CliError> {
    let invalid = |message: String| CliError::new("INVALID_INPUT", message);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if options.name.is_empty() || options.name.len() > 64 || !options.name.chars().all(allowed) {
        return Err(invalid(format!(
            "`{}` is no server name: expected 1 to 64 letters, digits, `-` and `_`",
            options.name
        )));
    }
    let mut entry = Map::new();
    entry.insert("name".into(), json!(options.name));
    let transport = options.transport.as_deref();
    match (&options.url, options.command.split_first()) {
        (Some(_), None) if transport == Some("stdio") => {
            return Err(invalid("`--transport stdio` is for a command, and this is an address".to_owned()));
        }
        (None, Some(_)) if transport.is_some_and(|kind| !matches!(kind, "stdio" | "auto")) => {
            return Err(invalid("a command is spoken to over stdio: `--transport` is for addresses".to_owned()));
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
            return Err(invalid("expected either an address, or `--` and a command".to_owned()).guided(
                "for example: mcpproxy upstream add files -- npx -y @modelcontextprotocol/server-filesystem ~",
            ));
        }
    }
    let mut headers = Map::new();
    for pair in &options.header {
        let Some((name, value)) = pair.split_once(':').filter(|(name, _)| !name.trim().is_empty()) else {
            // What follows may be a secret: it is not repeated.
            return Err(invalid("`--header`: expected `NAME: VALUE`".to_owned()));
        };
        headers.insert(name.trim().to_owned(), json!(value.trim()));
    }
    if !headers.is_empty() {
        entry.insert("headers".into(), Value::Object(headers));
    }
    let mut environment = Map::new();
    for pair in &options.env {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(invalid(format!("`--env {pair}`: expected NAME=VALUE")));
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
        status: "no core runs".to_owned(),
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
