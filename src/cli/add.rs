//! `mcpproxy upstream add`, `add-json` and `set`: the entries of servers.

use std::collections::BTreeMap;
use std::io::Read;

use reqwest::Url;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ai_clients::import::normalize::{Unusable, normalize};
use crate::ai_clients::import::variables::{Syntax, Values};
use crate::cli::args::{AddArguments, AddJsonArguments, SetArguments};
use crate::cli::connect::proxy;
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, not_found};
use crate::cli::error::CliError;
use crate::cli::output::{report, say};
use crate::cli::server_path::server_path;
use crate::client::CallError;
use crate::config::document::EditError;
use crate::config::new_server::NewServer;
use crate::config::server::SERVER_OPTIONS;
use crate::config::store::StoreError;
use crate::contract::api::{ServerAction, ServerProtocol};
use crate::os::environment::home_directory;

/// The change that a command made to a server's entry.
#[derive(Debug, Serialize)]
pub struct Change {
    pub name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    #[serde(skip)]
    pub sentence: String,
}

impl Change {
    /// A change with its sentence for people.
    pub fn new(name: &str, sentence: String) -> Change {
        Change {
            name: name.to_owned(),
            added: false,
            removed: false,
            skipped: false,
            sentence,
        }
    }
}

/// `upstream add`.
pub async fn add(context: &Context, link: &CoreLink, options: AddArguments) -> Result<(), CliError> {
    let entry = entry(&options, context.store.load().map_or(true, |config| config.quarantines()))?;
    add_entry(context, link, &options.name, entry, options.if_not_exists).await
}

/// `upstream add-json`: an entry in any client's shape.
pub async fn add_json(context: &Context, link: &CoreLink, options: AddJsonArguments) -> Result<(), CliError> {
    check_name(&options.name)?;
    let mut text = options.entry;
    if text == "-" {
        text.clear();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| CliError::new("INVALID_INPUT", format!("could not read standard input: {error}")))?;
    }
    let raw: Value = serde_json::from_str(&text)
        .map_err(|error| CliError::usage("INVALID_INPUT", format!("the entry is not valid JSON: {error}")))?;
    let home = home_directory().map(|home| home.display().to_string()).unwrap_or_default();
    let values = Values {
        home: &home,
        workspace: None,
        inputs: &[],
        is_set: &|_| true,
    };
    let normalized = normalize(&raw, Syntax::References, &values, &proxy(context, link).await?);
    let normalized = normalized.map_err(|unusable| {
        let (Unusable::Skip(reason) | Unusable::Fail(reason)) = unusable;
        CliError::usage("INVALID_INPUT", format!("could not add `{}`: {reason}", options.name))
    })?;
    for note in &normalized.warnings {
        say(&format!("note: {note}"));
    }
    let mut entry = Map::from_iter([("name".to_owned(), json!(options.name))]);
    entry.extend(normalized.entry);
    for key in &normalized.fields_skipped {
        match raw.get(key).filter(|_| SERVER_OPTIONS.contains(&key.as_str())) {
            Some(value) => {
                entry.insert(key.clone(), value.clone());
            }
            None => say(&format!("note: ignored `{key}`, which MCPProxy does not know in an entry to add")),
        }
    }
    if context.store.load().map_or(true, |config| config.quarantines()) {
        entry.insert("quarantined".to_owned(), json!(!options.no_quarantine));
    }
    add_entry(context, link, &options.name, Value::Object(entry), false).await
}

/// `upstream set`: changes keys of an entry; all others stay.
pub async fn set(context: &Context, link: &CoreLink, options: SetArguments) -> Result<(), CliError> {
    let part = changed_keys(&options)?;
    if part.is_empty() {
        return Err(CliError::usage("INVALID_INPUT", "nothing to change")
            .guided("for example: mcpproxy upstream set NAME --env LOG_LEVEL=debug"));
    }
    let name = options.name.as_str();
    match link.running() {
        Some(client) => {
            let sent: Result<ServerAction, CallError> = client.patch(&server_path(name), &Value::Object(part)).await;
            sent.map_err(|error| match error {
                CallError::Status { code: 404, .. } => not_found(name),
                error => error.into(),
            })?;
        }
        None => {
            link.edit_file(context, |document| document.merge_in_server(name, &part)).map_err(|error| match error {
                StoreError::Edit(EditError::Unknown(_)) => not_found(name),
                error => config_error(&error),
            })?
        }
    }
    let change = Change::new(name, format!("Changed `{name}`."));
    report(context, &change, |change| change.sentence.clone())
}

/// The keys that `upstream set` changes; `null` removes one.
fn changed_keys(options: &SetArguments) -> Result<Map<String, Value>, CliError> {
    let mut part = Map::new();
    let mut env = environment(&options.env)?;
    env.extend(options.unset_env.iter().map(|name| (name.clone(), Value::Null)));
    let mut headers = headers(&options.header)?;
    headers.extend(options.unset_header.iter().map(|name| (name.clone(), Value::Null)));
    for (key, fields) in [("env", env), ("headers", headers)] {
        if !fields.is_empty() {
            part.insert(key.to_owned(), Value::Object(fields));
        }
    }
    if let Some((command, arguments)) = options.command.split_first() {
        part.insert("command".to_owned(), json!(command));
        part.insert("args".to_owned(), json!(arguments));
    }
    if !options.arg.is_empty() {
        part.insert("args".to_owned(), json!(options.arg));
    }
    if let Some(url) = &options.url {
        check_url(url)?;
        part.insert("url".to_owned(), json!(url));
    }
    if let Some(directory) = &options.working_dir {
        part.insert("working_dir".to_owned(), json!(directory));
    }
    if let Some(timeout) = &options.timeout {
        part.insert("init_timeout".to_owned(), json!(timeout));
    }
    Ok(part)
}

/// Adds an entry through the running core, or to the configuration file.
pub(super) async fn add_entry(
    context: &Context,
    link: &CoreLink,
    name: &str,
    entry: Value,
    if_not_exists: bool,
) -> Result<(), CliError> {
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
        None => match link.edit_file(context, |document| document.add_new_server(name, entry.clone())) {
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
        Err(None) if if_not_exists => Change {
            skipped: true,
            ..Change::new(name, format!("A server named `{name}` already exists; nothing changed."))
        },
        Err(None) => {
            return Err(CliError::new("INVALID_INPUT", format!("a server named `{name}` already exists"))
                .guided(format!("choose another name, or remove it first: mcpproxy upstream remove {name}")));
        }
        Err(Some(error)) => return Err(error),
    };
    report(context, &done, |done| done.sentence.clone())
}

/// The entry to write. With quarantine on, a new server needs approval.
fn entry(options: &AddArguments, quarantines: bool) -> Result<Value, CliError> {
    let invalid = |message: String| CliError::usage("INVALID_INPUT", message);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if options.name.is_empty() || options.name.len() > 64 || !options.name.chars().all(allowed) {
        return Err(invalid(format!("invalid server name `{}`: use 1-64 letters, digits, `-` or `_`", options.name)));
    }
    let mut server = NewServer {
        name: options.name.clone(),
        env: environment(&options.env)?,
        headers: headers(&options.header)?,
        working_dir: options.working_dir.as_ref().map(|directory| directory.to_string_lossy().into_owned()),
        enabled: Some(true),
        quarantined: quarantines.then_some(!options.no_quarantine),
        ..NewServer::default()
    };
    let transport = options.transport.as_deref();
    match (&options.url, options.command.split_first()) {
        (Some(_), None) if transport == Some("stdio") => {
            return Err(invalid("`--transport stdio` needs a command, not a URL".to_owned()));
        }
        (None, Some(_)) if transport.is_some_and(|kind| !matches!(kind, "stdio" | "auto")) => {
            return Err(invalid("`--transport` needs a URL: a command always uses stdio".to_owned()));
        }
        (Some(url), None) => {
            check_url(url)?;
            server.protocol = transport.map_or(ServerProtocol::StreamableHttp, ServerProtocol::from);
            server.url = Some(url.clone());
        }
        (None, Some((command, arguments))) => {
            server.protocol = ServerProtocol::Stdio;
            server.command = Some(command.clone());
            server.args = Some(arguments.to_vec());
        }
        _ => {
            return Err(invalid("expected either a URL, or `--` and a command".to_owned()).guided(
                "for example: mcpproxy upstream add files -- npx -y @modelcontextprotocol/server-filesystem ~",
            ));
        }
    }
    Ok(Value::Object(server.into_entry()))
}

pub(super) fn check_name(name: &str) -> Result<(), CliError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("invalid server name `{name}`: use 1-64 letters, digits, `-` or `_`");
    Err(CliError::usage("INVALID_INPUT", message))
}

/// A URL that MCPProxy can connect to.
fn check_url(url: &str) -> Result<(), CliError> {
    let problem = match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.host_str().is_some() => return Ok(()),
        Ok(parsed) => format!("the scheme is `{}`", parsed.scheme()),
        Err(_) if !url.contains("://") => "it does not begin with http:// or https://".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(CliError::usage("INVALID_INPUT", format!("invalid URL `{url}`: {problem}"))
        .guided("use http://… or https://…; for a local command: mcpproxy upstream add NAME -- COMMAND"))
}

pub(super) fn headers(pairs: &[String]) -> Result<Map<String, Value>, CliError> {
    let mut headers = Map::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once(':').filter(|(name, _)| !name.trim().is_empty()) else {
            // The value may be a secret, so it is not repeated.
            return Err(CliError::usage("INVALID_INPUT", "invalid `--header`: expected `NAME: VALUE`"));
        };
        headers.insert(name.trim().to_owned(), json!(value.trim()));
    }
    Ok(headers)
}

pub(super) fn environment(pairs: &[String]) -> Result<Map<String, Value>, CliError> {
    let mut environment = Map::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::usage("INVALID_INPUT", "invalid `--env`: expected NAME=VALUE"));
        };
        environment.insert(name.to_owned(), json!(value));
    }
    Ok(environment)
}

/// Fields as plain text.
pub(super) fn text_fields(fields: Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    fields.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_are_added() {
        for url in ["http://localhost:1/mcp", "https://h/"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in ["h/mcp", "htp://h/", "file:///x", "", "https://"] {
            assert_eq!(check_url(url).unwrap_err().exit, crate::contract::exit_code::ExitCode::Usage, "{url}");
        }
    }

    #[test]
    fn values_that_may_be_secrets_are_not_repeated() {
        for error in [
            headers(&["s3cret".into()]).unwrap_err(),
            environment(&["s3cret".into()]).unwrap_err(),
        ] {
            assert!(!error.message.contains("s3cret"), "{}", error.message);
        }
    }
}
