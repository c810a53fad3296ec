//! `mcpproxy doctor`: what needs a person's attention, and what helps.

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, no_core};
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::contract::api::Diagnostics;

/// Exits 0 whatever it finds, as the existing command line does.
pub async fn doctor(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let Some(client) = link.running() else {
        // A configuration with a mistake is why no core starts.
        context.store.load().map_err(|error| config_error(&error))?;
        return Err(no_core());
    };
    let found: Diagnostics = client.get("/api/v1/diagnostics").await?;
    print(context.format, &found, table)
}

fn table(found: &Diagnostics) -> String {
    let failing = found.upstream_errors.iter().map(|one| {
        let name = &one.server_name;
        format!("{name} does not work: {}\n  `mcpproxy upstream logs {name}` shows its own words", one.error_message)
    });
    let sign_ins = found.oauth_required.iter().map(|one| {
        let name = &one.server_name;
        format!("{name} waits for you to sign in: {}\n  `mcpproxy upstream login {name}` leads you there", one.message)
    });
    let missing = found.missing_secrets.iter().map(|one| {
        let (name, servers) = (&one.secret_name, one.used_by.join(", "));
        format!("{servers}: the environment variable `{name}` is not set\n  set it where the core is started, and start the core again")
    });
    let lines: Vec<String> =
        failing.chain(sign_ins).chain(missing).chain(found.runtime_warnings.iter().cloned()).collect();
    if lines.is_empty() {
        "Nothing needs your attention.".to_owned()
    } else {
        lines.join("\n")
    }
}
