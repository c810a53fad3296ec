//! `mcpproxy doctor`: problems and how to fix them.

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::client::go_core;
use crate::contract::api::{Diagnostics, Servers};

/// Exits with 0 whatever it finds, like the existing CLI.
pub async fn doctor(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let Some(client) = link.running() else {
        // An invalid configuration is the most likely reason that no core runs.
        context.store.load().map_err(|error| config_error(&error))?;
        return link.require().map(|_| ());
    };
    let mut found: Diagnostics = client.get("/api/v1/diagnostics").await?;
    if !client.is_ours().await? {
        let servers: Servers = client.get("/api/v1/servers").await?;
        found.runtime_warnings.extend(go_core::attention(&servers.servers));
    }
    print(context.format, &found, table)
}

fn table(found: &Diagnostics) -> String {
    let failing = found.upstream_errors.iter().map(|one| {
        let name = &one.server_name;
        format!("{name} failed: {}\n  Its log: mcpproxy upstream logs {name}", one.error_message)
    });
    let sign_ins = found.oauth_required.iter().map(|one| {
        let name = &one.server_name;
        format!("{name} requires sign-in: {}\n  Sign in: mcpproxy upstream login {name}", one.message)
    });
    let missing = found.missing_secrets.iter().map(|one| {
        let (name, servers) = (&one.secret_name, one.used_by.join(", "));
        format!("{servers}: the environment variable `{name}` is not set\n  Set it where MCPProxy is started, then restart MCPProxy")
    });
    let lines: Vec<String> =
        failing.chain(sign_ins).chain(missing).chain(found.runtime_warnings.iter().cloned()).collect();
    if lines.is_empty() { "No problems found.".to_owned() } else { lines.join("\n") }
}
