//! `mcpproxy profile`: named sets of servers, each with an endpoint of its own.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, not_found};
use crate::cli::error::CliError;
use crate::cli::output::{print, rows};
use crate::client::CallError;
use crate::config::profiles::check_name;
use crate::contract::api::{ActiveProfile, Profile, ProfileChoice, ProfileList};
use crate::contract::names;

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// Show the profiles
    List,
    /// Set the profile of clients that have none of their own; without a name, they see every server
    Use {
        /// Profile to use
        name: Option<String>,
    },
    /// Add a profile, or replace the servers of one
    #[command(alias = "add")]
    Create(ProfileServers),
    /// Remove a profile
    Remove {
        /// Profile to remove
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct ProfileServers {
    /// Lower-case letters, digits, `-` and `_`
    pub name: String,
    /// The servers in it
    pub servers: Vec<String>,
}

pub async fn run(context: &Context, link: &CoreLink, command: ProfileCommand) -> Result<(), CliError> {
    match command {
        ProfileCommand::List => list(context, link).await,
        ProfileCommand::Use { name } => choose(context, link, name.as_deref().unwrap_or_default()).await,
        ProfileCommand::Create(options) => create(context, link, &options).await,
        ProfileCommand::Remove { name } => remove(context, link, &name).await,
    }
}

async fn list(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    link.require_response()?;
    let (profiles, active) = match link.running() {
        Some(client) => {
            let list: ProfileList = client.get("/api/v1/profiles").await?;
            let active: ActiveProfile = client.get("/api/v1/profiles/active").await?;
            (list, active.active_profile)
        }
        None => {
            let config = context.store.load().map_err(|error| config_error(&error))?;
            let profiles = config.profiles.into_iter().map(|profile| Profile {
                name: profile.name,
                servers: profile.servers,
                tool_count: 0,
            });
            let profiles = ProfileList {
                profiles: profiles.collect(),
            };
            (profiles, config.active_profile.unwrap_or_default())
        }
    };
    print(context.format, &profiles, |profiles| table(profiles, &active))
}

fn table(list: &ProfileList, active: &str) -> String {
    if list.profiles.is_empty() {
        return "No profiles yet. Add one: mcpproxy profile create NAME SERVER…".to_owned();
    }
    let row = |profile: &Profile| {
        let mark = if profile.name == active { " (active)" } else { "" };
        let servers = if profile.servers.is_empty() {
            "no servers".to_owned()
        } else {
            profile.servers.join(", ")
        };
        vec![
            format!("{}{mark}", profile.name),
            format!("{}/{}", names::MCP_PROFILE_PATH, profile.name),
            servers,
        ]
    };
    rows(&["NAME", "ENDPOINT", "SERVERS"], list.profiles.iter().map(row).collect(), "")
}

async fn choose(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let active = match link.running() {
        Some(client) => {
            let profile = name.to_owned();
            client
                .put("/api/v1/profiles/active", &json!(ProfileChoice { profile }))
                .await
                .map_err(|error| lacking(error, name, &[]))?
        }
        None => {
            let config = context.store.load().map_err(|error| config_error(&error))?;
            if !name.is_empty() && !config.profiles.iter().any(|profile| profile.name == name) {
                return Err(unknown(name));
            }
            let edited = link.edit_file(context, |document| document.merge_active_profile(name));
            edited.map_err(|error| config_error(&error))?;
            ActiveProfile {
                active_profile: name.to_owned(),
            }
        }
    };
    print(context.format, &active, |active: &ActiveProfile| match active.active_profile.as_str() {
        "" => "Clients without a profile of their own see every server.".to_owned(),
        name => format!("Clients without a profile of their own see only the servers of `{name}`."),
    })
}

async fn create(context: &Context, link: &CoreLink, options: &ProfileServers) -> Result<(), CliError> {
    let ProfileServers { name, servers } = options;
    check_name(name).map_err(|problem| CliError::new("INVALID_INPUT", problem))?;
    match link.running() {
        Some(client) => {
            client.change_profile(name, Some(servers)).await.map_err(|error| lacking(error, name, servers))?;
        }
        None => {
            let config = context.store.load().map_err(|error| config_error(&error))?;
            if let Some(other) = servers.iter().find(|name| !config.servers.iter().any(|server| server.name == **name))
            {
                return Err(not_found(other));
            }
            let edited = link.edit_file(context, |document| document.set_profile(name, servers));
            edited.map_err(|error| config_error(&error))?;
        }
    }
    let created = json!({"name": name, "servers": servers, "path": format!("{}/{name}", names::MCP_PROFILE_PATH)});
    print(context.format, &created, |_| {
        format!("Saved the profile `{name}`. Its endpoint is {}/{name}", names::MCP_PROFILE_PATH)
    })
}

async fn remove(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    match link.running() {
        Some(client) => {
            client.change_profile(name, None).await.map_err(|error| lacking(error, name, &[]))?;
        }
        None => {
            let config = context.store.load().map_err(|error| config_error(&error))?;
            if !config.profiles.iter().any(|profile| profile.name == name) {
                return Err(unknown(name));
            }
            let edited = link.edit_file(context, |document| document.remove_profile(name));
            edited.map_err(|error| config_error(&error))?;
        }
    }
    print(context.format, &json!({"name": name, "removed": true}), |_| format!("Removed the profile `{name}`."))
}

fn unknown(name: &str) -> CliError {
    CliError::new("INVALID_INPUT", format!("unknown profile `{name}`"))
        .guided("see all profiles with `mcpproxy profile list`")
}

/// Adds a hint to the core's message about an unknown profile or server.
fn lacking(error: CallError, name: &str, servers: &[String]) -> CliError {
    let message = error.to_string();
    let mut known = servers.iter().map(|server| not_found(server)).chain([unknown(name)]);
    known.find(|one| one.message == message).unwrap_or_else(|| error.into())
}
