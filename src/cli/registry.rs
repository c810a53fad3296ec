//! `mcpproxy registry`: searches registries of servers, and changes which ones are searched.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::output::{pairs, print, report, rows, say};
use crate::client::CallError;
use crate::config::document::EditError;
use crate::config::store::StoreError;
use crate::contract::registry::{
    AddRegistry, ChangedRegistry, Registry, RegistryCache, RegistryInput, RegistryOption, RegistryServer,
    RegistryServers,
};
use crate::contract::words::RegistryStatus;
use crate::registries::{Registries, RegistryError, check_source, defaults, id_of_url};

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Search the registries for servers
    #[command(
        after_help = "Examples:\n  mcpproxy registry search github\n  mcpproxy registry search brave search --limit 5\n  mcpproxy add NAME    # adds one of the results"
    )]
    Search(RegistrySearch),
    /// Show a server: what it runs, and what it needs
    Show {
        /// Name of the server, as `search` shows it
        name: String,
        /// Only in this registry
        #[arg(long, value_name = "ID")]
        registry: Option<String>,
    },
    /// List the registries that are searched
    #[command(visible_alias = "ls")]
    List,
    /// Add a registry to search
    AddSource {
        /// Short name of the registry, or only its URL: the host is then the name
        name: String,
        /// URL of the registry, after its name
        url: Option<String>,
    },
    /// Stop searching a registry
    RemoveSource {
        /// Name of the registry, as `list` shows it
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct RegistrySearch {
    /// Words that a server's name or description must contain
    #[arg(required = true)]
    pub words: Vec<String>,
    /// Maximum number of servers to show
    #[arg(short = 'n', long, default_value_t = 10)]
    pub limit: usize,
    /// Only in this registry
    #[arg(long, value_name = "ID")]
    pub registry: Option<String>,
}

pub async fn run(context: &Context, link: &CoreLink, command: RegistryCommand) -> Result<(), CliError> {
    match command {
        RegistryCommand::Search(options) => search(context, &options).await,
        RegistryCommand::Show { name, registry } => show(context, &name, registry.as_deref()).await,
        RegistryCommand::List => list(context),
        RegistryCommand::AddSource { name, url } => add_source(context, link, &name, url.as_deref()).await,
        RegistryCommand::RemoveSource { name } => remove_source(context, link, &name).await,
    }
}

/// The registries of the configuration. They are asked by the command itself, also while a core runs: both read the same
/// configuration and share the cache.
pub fn registries(context: &Context) -> Result<Registries, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    Ok(Registries::new(&config, context.root.registry_cache()))
}

async fn search(context: &Context, options: &RegistrySearch) -> Result<(), CliError> {
    let words = options.words.join(" ");
    let found = registries(context)?.search(options.registry.as_deref(), &words, options.limit).await?;
    if let Some(unavailable) = &found.unavailable {
        say(&format!("note: {}", unavailable.reason));
    }
    say_age(found.cache.as_ref());
    print(context.format, &found, table)
}

fn table(found: &RegistryServers) -> String {
    let row = |server: &RegistryServer| {
        let kinds: Vec<&str> =
            server.options.iter().filter(|option| option.is_usable()).map(|option| option.id.as_str()).collect();
        let kinds = if kinds.is_empty() { "not supported".to_owned() } else { kinds.join(", ") };
        let mark = if server.status == RegistryStatus::Deprecated { "(deprecated) " } else { "" };
        vec![
            server.name.clone(),
            kinds,
            format!("{mark}{}", short(&server.description)),
        ]
    };
    let empty = "No servers found. Registries compare words with names first: try one word.";
    let mut text = rows(&["NAME", "RUNS AS", "DESCRIPTION"], found.servers.iter().map(row).collect(), empty);
    if let Some(first) = found.servers.first() {
        text.push_str(&format!(
            "\n\nAnyone can publish there. Details: mcpproxy registry show {0}\nAdd one: mcpproxy add {0}",
            first.name
        ));
    }
    text
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

async fn show(context: &Context, name: &str, registry: Option<&str>) -> Result<(), CliError> {
    let found = registries(context)?.find(registry, name).await?;
    say_age(found.cache.as_ref());
    print(context.format, &found.described(), details)
}

fn details(server: &RegistryServer) -> String {
    let mut facts = vec![("Name", server.name.clone())];
    let more = [
        ("Title", server.title.clone()),
        ("Description", server.description.clone()),
        ("Version", server.version.clone()),
        ("Source", server.source_code_url.clone().unwrap_or_default()),
        ("Registry", server.registry.clone()),
        (
            "Status",
            Some(&server.status)
                .filter(|status| **status == RegistryStatus::Deprecated)
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
    ];
    facts.extend(more.into_iter().filter(|(_, text)| !text.is_empty()));
    let mut text = pairs(&facts);
    for option in &server.options {
        text.push_str(&format!("\n\n{}", option_text(option)));
    }
    if server.options.iter().any(RegistryOption::is_usable) {
        text.push_str(&format!("\n\nAdd it: mcpproxy add {}", server.name));
    }
    text
}

fn option_text(option: &RegistryOption) -> String {
    match (&option.runs, &option.unsupported) {
        (_, Some(reason)) => format!("{}: not supported: {reason}", option.id),
        (runs, None) => {
            let inputs = option.inputs.iter().map(input_text);
            let lines: Vec<String> =
                std::iter::once(format!("{}: {}", option.id, runs.clone().unwrap_or_default())).chain(inputs).collect();
            lines.join("\n")
        }
    }
}

fn input_text(input: &RegistryInput) -> String {
    let mut notes = vec![if input.required { "required" } else { "optional" }.to_owned()];
    if input.secret {
        notes.push("secret".to_owned());
    }
    if let Some(default) = &input.default {
        notes.push(format!("default {default}"));
    }
    if !input.choices.is_empty() {
        notes.push(format!("one of {}", input.choices.join(", ")));
    }
    let text = if input.description.is_empty() {
        String::new()
    } else {
        format!(": {}", input.description)
    };
    format!("  {} ({}){text}", input.kind.flag(&input.name), notes.join("; "))
}

/// Says that an answer comes from the cache.
pub fn say_age(cache: Option<&RegistryCache>) {
    if let Some(cache) = cache {
        say(&format!("note: from the cache, received {}", cache.fetched_at));
    }
}

fn list(context: &Context) -> Result<(), CliError> {
    print(context.format, &registries(context)?.list(), |list| {
        let row = |registry: &Registry| {
            let url = registry
                .unsupported
                .as_ref()
                .map_or_else(|| registry.url.clone(), |reason| format!("not searched: {reason}"));
            vec![registry.id.clone(), registry.name.clone(), url]
        };
        let rows_of = list.registries.iter().map(row).collect();
        rows(&["ID", "NAME", "URL"], rows_of, "No registries. Add one: mcpproxy registry add-source NAME URL")
    })
}

async fn add_source(context: &Context, link: &CoreLink, name: &str, url: Option<&str>) -> Result<(), CliError> {
    let (id, url) = match url {
        Some(url) => (name.to_owned(), url),
        None => (id_of_url(name), name),
    };
    let entry = check_source(&id, None, url).map_err(|sentence| CliError::usage("INVALID_INPUT", sentence))?;
    let exists = || CliError::new("INVALID_INPUT", format!("a registry named `{id}` already exists"));
    match link.running() {
        Some(client) => {
            let request = AddRegistry {
                id: Some(id.clone()),
                name: None,
                url: url.to_owned(),
            };
            let sent: Result<ChangedRegistry, CallError> =
                client.post("/api/v1/registries", Some(&json!(request))).await;
            sent.map_err(|error| match error {
                CallError::Status { code: 409, .. } => exists(),
                error => error.into(),
            })?;
        }
        None => link.edit_file(context, |document| document.add_registry(&id, entry.clone(), &defaults())).map_err(
            |error| match error {
                StoreError::Edit(EditError::Exists(_)) => exists(),
                error => config_error(&error),
            },
        )?,
    }
    report(context, &json!({"id": id, "added": true}), |_| {
        format!("`{id}` will be searched, too. Anyone who controls it decides what it offers.")
    })
}

async fn remove_source(context: &Context, link: &CoreLink, id: &str) -> Result<(), CliError> {
    match link.running() {
        Some(client) => {
            let path = format!("/api/v1/registries/{}", crate::client::path_segment(id));
            let sent: Result<ChangedRegistry, CallError> = client.delete(&path).await;
            sent.map_err(|error| match error {
                CallError::Status { code: 404, .. } => RegistryError::Unknown(id.to_owned()).into(),
                error => CliError::from(error),
            })?;
        }
        None => {
            link.edit_file(context, |document| document.remove_registry(id, &defaults())).map_err(
                |error| match error {
                    StoreError::Edit(EditError::Unknown(_)) => RegistryError::Unknown(id.to_owned()).into(),
                    error => config_error(&error),
                },
            )?
        }
    }
    report(context, &json!({"id": id, "removed": true}), |_| format!("`{id}` will not be searched any more."))
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> CliError {
        let code = match &error {
            RegistryError::Unknown(_) | RegistryError::NotFound(_) => "NOT_FOUND",
            RegistryError::Unreachable(..) => "CONNECTION_FAILED",
            _ => "INVALID_INPUT",
        };
        let guidance = match &error {
            RegistryError::Unknown(_) => Some("see `mcpproxy registry list`"),
            RegistryError::Unreachable(..) => {
                Some("check the network, or the registry's URL with `mcpproxy registry list`")
            }
            _ => None,
        };
        let failed = CliError::new(code, error.to_string());
        match guidance {
            Some(guidance) => failed.guided(guidance),
            None => failed,
        }
    }
}
