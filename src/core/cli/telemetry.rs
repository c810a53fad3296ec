//! `mcpproxy telemetry …`: what is known about this run, whether any of it is sent, and why.

use serde::Serialize;

use super::args::TelemetryCommand;
use super::core_link::{CoreLink, config_error};
use super::output::{pairs, print};
use super::status::fact_lines;
use super::{CliError, Context};
use crate::contract::api::Status;
use crate::core::run_facts::{Facts, RunFacts};

/// `telemetry status -o json`.
#[derive(Debug, Serialize)]
struct Shown {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(flatten)]
    facts: Facts,
}

pub async fn run(context: &Context, link: &CoreLink, command: TelemetryCommand) -> Result<(), CliError> {
    match command {
        TelemetryCommand::Status => status(context, link).await,
    }
}

async fn status(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let telemetry = context.store.load().map_err(|error| config_error(&error))?.telemetry;
    let facts = match link.running() {
        Some(client) => client.get::<Status>("/api/v1/status").await.map_err(CliError::from)?.into(),
        // Without a core this process is the one that can say what it sees.
        None => RunFacts::new(&context.root, &context.environment, &telemetry).facts(),
    };
    let shown = Shown {
        enabled: telemetry.enabled != Some(false),
        anonymous_id: telemetry.anonymous_id,
        endpoint: telemetry.endpoint,
        facts,
    };
    print(context.format, &shown, |shown| {
        let mut lines = vec![("Enabled", if shown.enabled { "yes" } else { "no" }.to_owned())];
        lines.extend(fact_lines(&shown.facts));
        if let Some(activation) = &shown.facts.activation {
            lines.push(("Clients seen", activation.mcp_clients_seen_ever.join(", ")));
            lines.push(("Searches in 24 h", activation.retrieve_tools_calls_24h.to_string()));
        }
        pairs(&lines)
    })
}
