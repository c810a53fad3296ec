//! `mcpproxy status` and `mcpproxy version`.

use serde::Serialize;

use crate::cli::args::StatusArguments;
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::help;
use crate::cli::output::{self, pairs, print};
use crate::config::Config;
use crate::contract::api::{Info, LaunchedBy, Status, Update};
use crate::contract::endpoint::mcp_url;
use crate::contract::exit_code::ExitCode;
use crate::contract::visible_text;
use crate::server::encryption;
use crate::server::run_facts::Facts;

/// `status -o json`: the shape of the Go core's, plus facts about this run.
#[derive(Debug, Serialize)]
struct StatusReport {
    /// `Running`, `Not responding` or `Not running`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    listen_addr: String,
    mcp_url: String,
    api_key: String,
    socket_path: String,
    config_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launched_by: Option<LaunchedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Counts>,
    /// Why the latest edit of the configuration is not used, or why the core does not start with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
    /// A newer version, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update>,
    #[serde(flatten)]
    facts: Option<Facts>,
}

#[derive(Debug, Serialize)]
struct Counts {
    total: u32,
    connected: u32,
    quarantined: u32,
    tools: u32,
}

/// The help, and one line on the state of MCPProxy.
pub async fn help_and_line(link: &CoreLink) -> Result<(), CliError> {
    output::write_raw(&format!("{}\n", help::command().render_help().to_string().trim_end()))?;
    let line = match (link.running(), link.problem()) {
        (Some(client), _) => {
            let status: Status = client.get("/api/v1/status").await.map_err(CliError::from)?;
            let info: Info = client.get("/api/v1/info").await.map_err(CliError::from)?;
            let url = mcp_url(&status.listen_addr, client.is_encrypted(&info).await?);
            let stats = &status.upstream_stats;
            let servers = format!("{} of {} servers connected", stats.connected_servers, stats.total_servers);
            format!("MCPProxy is running at {url} ({servers}).")
        }
        (None, Some(error)) => format!("MCPProxy is running but not responding: {error}"),
        (None, None) => "MCPProxy is not running. Start it with the app, or with `mcpproxy setup`.".to_owned(),
    };
    output::write_raw(&format!("\n{}\n", visible_text::one_line(&line)))
}

/// Shows the state. Exits with 1 if MCPProxy runs but does not respond.
pub async fn status(context: &Context, link: &CoreLink, options: &StatusArguments) -> Result<ExitCode, CliError> {
    let config = context.store.load().map_err(|error| config_error(&error));
    let encrypts = |config: &Config| encryption::wanted(config, &context.environment).enabled;
    let is_encrypted = config.as_ref().is_ok_and(encrypts);
    let key = config.as_ref().ok().and_then(|config| config.api_key.clone()).unwrap_or_default();
    let api_key = if options.show_key { key } else { masked(&key) };
    let config_path = context.store.path().display().to_string();
    let socket_path = link.local_address().to_string();
    let report = match link.running() {
        Some(client) => {
            let status: Status = client.get("/api/v1/status").await.map_err(CliError::from)?;
            let info: Info = client.get("/api/v1/info").await.map_err(CliError::from)?;
            let is_encrypted = client.is_encrypted(&info).await?;
            let stats = &status.upstream_stats;
            StatusReport {
                state: "Running",
                version: Some(info.version),
                mcp_url: mcp_url(&status.listen_addr, is_encrypted),
                listen_addr: status.listen_addr.clone(),
                api_key,
                socket_path,
                config_path,
                pid: Some(info.pid),
                launched_by: Some(info.launched_by).filter(|by| *by != LaunchedBy::Other),
                servers: Some(Counts {
                    total: stats.total_servers,
                    connected: stats.connected_servers,
                    quarantined: stats.quarantined_servers,
                    tools: stats.total_tools,
                }),
                configuration: status.configuration.clone(),
                update: info.update.filter(|update| update.available),
                facts: Some(status.into()),
            }
        }
        None => {
            // Without a core only the configuration can be shown, so an error in it is the answer.
            let config = config?;
            let refusal = encryption::refusal(&encryption::wanted(&config, &context.environment));
            let refusal = refusal.map(|(sentence, help)| format!("{sentence}; {help}"));
            let listen = config.listen;
            StatusReport {
                state: if link.problem().is_some() { "Not responding" } else { "Not running" },
                version: None,
                mcp_url: mcp_url(&listen, is_encrypted),
                listen_addr: format!("{listen} (configured)"),
                api_key,
                socket_path,
                config_path,
                pid: None,
                launched_by: None,
                servers: None,
                configuration: link.problem().map(ToString::to_string).or(refusal),
                update: None,
                facts: None,
            }
        }
    };
    print(context.format, &report, table)?;
    Ok(if link.problem().is_some() { ExitCode::General } else { ExitCode::Clean })
}

fn table(shown: &StatusReport) -> String {
    let next = if shown.state == "Not running" {
        ". Start it with the app or `mcpproxy serve`"
    } else {
        ""
    };
    let mut lines = vec![("State", format!("{}{next}", shown.state))];
    if let (Some(version), Some(pid)) = (&shown.version, shown.pid) {
        lines.push(("Core", format!("version {version}, process {pid}")));
    }
    if let Some((version, page)) = shown.update.as_ref().and_then(Update::news) {
        lines.push(("Update", format!("version {version} is available: {page}")));
    }
    lines.push(("MCP URL", shown.mcp_url.clone()));
    lines.push(("Listens on", shown.listen_addr.clone()));
    lines.push(("API key", shown.api_key.clone()));
    if let Some(servers) = &shown.servers {
        let mut text = format!("{} of {} connected, {} tools", servers.connected, servers.total, servers.tools);
        if servers.quarantined > 0 {
            let need = if servers.quarantined == 1 { "needs" } else { "need" };
            text = format!("{text}; {} {need} approval", servers.quarantined);
        }
        lines.push(("Servers", text));
    }
    if let Some(facts) = &shown.facts {
        lines.extend(fact_lines(facts));
    }
    lines.push(("Socket", shown.socket_path.clone()));
    lines.push(("Configuration", shown.config_path.clone()));
    lines.extend(
        shown
            .configuration
            .as_ref()
            .map(|sentence| (if shown.state == "Running" { "Config error" } else { "Problem" }, sentence.clone())),
    );
    pairs(&lines)
}

/// The facts about this run as table rows.
pub fn fact_lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(kind) = facts.env_kind {
        lines.push(("Environment", kind.word().to_owned()));
    }
    if let Some(source) = facts.launch_source {
        let word = serde_json::to_value(source).ok().and_then(|word| word.as_str().map(str::to_owned));
        lines.push(("Started by", word.unwrap_or_default()));
    }
    let autostart = match facts.autostart_enabled {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    lines.push(("Run at startup", autostart.to_owned()));
    lines
}

/// Masks a key as `abcd****wxyz`, like the existing CLI.
fn masked(key: &str) -> String {
    match (key.get(..4), key.len().checked_sub(4).and_then(|end| key.get(end..))) {
        (Some(head), Some(tail)) if key.len() > 8 => format!("{head}****{tail}"),
        _ => "****".to_owned(),
    }
}

/// `version -o json`. The existing tray reads `version` from it.
#[derive(Debug, Serialize)]
pub struct Version {
    pub version: &'static str,
    pub edition: &'static str,
    pub os: &'static str,
    pub arch: &'static str,
}

pub fn version() -> Version {
    Version {
        version: env!("CARGO_PKG_VERSION"),
        edition: "personal",
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
    }
}

pub fn version_table(version: &Version) -> String {
    format!("mcpproxy {} ({}, {})", version.version, version.os, version.arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown_whole() {
        assert_eq!(masked("abcdefghijklmnop"), "abcd****mnop");
        assert_eq!(masked("short"), "****");
        assert_eq!(masked(""), "****");
        assert_eq!(masked("äöüäöüäöü"), "äö****öü");
    }
}
