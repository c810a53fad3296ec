//! `mcpproxy telemetry …`: what is reported about this installation, whether it is sent, and why.

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::args::{Input, TelemetryCommand};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::output::{pairs, print, rows};
use crate::cli::received;
use crate::cli::status::fact_lines;
use crate::contract::api::Status;
use crate::contract::exit_code::ExitCode;
use crate::os::files;
use crate::server::run_facts::{Facts, RunFacts, endpoint};
use crate::telemetry::environment::classify;
use crate::telemetry::environment::observation::Observation;
use crate::telemetry::environment::observe::observe;
use crate::telemetry::scan::collect_identity::collect_identity;
use crate::telemetry::scan::{Hit, verify};

/// `telemetry status -o json`.
#[derive(Debug, Serialize)]
struct TelemetryReport {
    /// Whether usage is recorded: neither the configuration nor the environment turns it off.
    enabled: bool,
    /// `on`, `off`, or `waiting`; `reason` says what for.
    sending: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    notice_shown: bool,
    #[serde(flatten)]
    facts: Facts,
}

/// Far larger than any report or recorded environment.
const MAX_INPUT: u64 = 4 << 20;

pub async fn run(context: &Context, link: &CoreLink, command: TelemetryCommand) -> Result<ExitCode, CliError> {
    match command {
        TelemetryCommand::Status => status(context, link).await.map(|()| ExitCode::Clean),
        TelemetryCommand::Show => show(context, link).await.map(|()| ExitCode::Clean),
        TelemetryCommand::Verify(input) => check(context, &input),
        TelemetryCommand::Explain(from) => explain(context, from.from.as_ref()).map(|()| ExitCode::Clean),
        TelemetryCommand::Enable => switch(context, link, true).await.map(|()| ExitCode::Clean),
        TelemetryCommand::Disable => switch(context, link, false).await.map(|()| ExitCode::Clean),
        TelemetryCommand::Received => received::received(context).await.map(|()| ExitCode::Clean),
        TelemetryCommand::Forget(options) => {
            received::forget(context, link, options.yes).await.map(|()| ExitCode::Clean)
        }
    }
}

async fn status(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let telemetry = context.store.load().map_err(|error| config_error(&error))?.telemetry;
    let own = RunFacts::new(&context.root, &context.environment);
    let consent = own.consent(&telemetry);
    let facts = match link.running() {
        Some(client) => client.get::<Status>("/api/v1/status").await.map_err(CliError::from)?.into(),
        // Without a core, this process reports what it sees itself and stores nothing.
        None => own.facts(),
    };
    let report = TelemetryReport {
        enabled: consent.may_record(),
        sending: consent.word(),
        reason: consent.reason(),
        endpoint: endpoint(&telemetry).map(str::to_owned),
        notice_shown: telemetry.notice_shown,
        anonymous_id: telemetry.anonymous_id,
        facts,
    };
    print(context.format, &report, |shown| {
        let mut lines = vec![("Telemetry", shown.reason.to_owned())];
        lines.push(("Collector", shown.endpoint.clone().unwrap_or_else(|| "none".to_owned())));
        lines.push(("Anonymous ID", shown.anonymous_id.clone().unwrap_or_else(|| "none yet".to_owned())));
        lines.extend(fact_lines(&shown.facts));
        if let Some(activation) = &shown.facts.activation {
            lines.push(("Clients seen", activation.mcp_clients_seen_ever.join(", ")));
            lines.push(("Searches in 24 h", activation.retrieve_tools_calls_24h.to_string()));
        }
        pairs(&lines)
    })
}

/// Shows the next report. With `-o json`, byte for byte as it would be sent; otherwise formatted for reading.
async fn show(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    link.require_response()?;
    let Some(client) = link.running() else {
        return Err(CliError::new(
            "DAEMON_NOT_RUNNING",
            "MCPProxy is not running, and only a running core sends reports",
        )
        .guided("start the MCPProxy app, or run `mcpproxy serve`"));
    };
    let payload: Value = client.get("/api/v1/telemetry/payload").await?;
    match context.format {
        Format::Table => print(Format::Json, &payload, |_| String::new()),
        Format::Json => print(Format::Table, &payload, Value::to_string),
        Format::Yaml => print(Format::Yaml, &payload, |_| String::new()),
    }
}

/// Checks a report against the schema and the anonymity scan. Exits with 0 if it is clean, otherwise with 1.
fn check(context: &Context, input: &Input) -> Result<ExitCode, CliError> {
    let hits = verify(&input.read()?, &collect_identity());
    print(context.format, &hits, |hits| {
        if hits.is_empty() {
            return "Clean: only known fields, and nothing that identifies a person or a machine.".to_owned();
        }
        let row = |hit: &Hit| vec![hit.net.to_string(), hit.rule.to_owned(), hit.field.clone()];
        rows(&["NET", "RULE", "FIELD"], hits.iter().map(row).collect(), "")
    })?;
    Ok(if hits.is_empty() { ExitCode::Clean } else { ExitCode::General })
}

fn explain(context: &Context, from: Option<&std::path::PathBuf>) -> Result<(), CliError> {
    let observation = match from {
        None => observe(),
        Some(path) => {
            let bytes = Input {
                file: Some(path.clone()),
            }
            .read()?;
            serde_json::from_slice::<Observation>(&bytes).map_err(|error| {
                CliError::new("INVALID_INPUT", format!("`{}` is not a recorded environment: {error}", path.display()))
                    .guided(r#"expected {"os":"linux","env":{…},"files":["/path"],"file_contents":{"/path":"text"},"tty":false}"#)
            })?
        }
    };
    print(context.format, &classify(&observation), |verdict| {
        let markers = &verdict.markers;
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        pairs(&[
            ("Environment", verdict.kind.word().to_owned()),
            ("Because", verdict.rule.clone()),
            ("CI variable", yes(markers.has_ci_env)),
            ("Cloud IDE variable", yes(markers.has_cloud_ide_env)),
            ("Container", yes(markers.is_container)),
            ("Terminal", yes(markers.has_tty)),
            ("Display", yes(markers.has_display)),
        ])
    })
}

async fn switch(context: &Context, link: &CoreLink, on: bool) -> Result<(), CliError> {
    match link.running() {
        Some(client) => {
            let part = json!({"telemetry": {"enabled": on}});
            client.patch::<Value>("/api/v1/config", &part).await?;
        }
        None => link
            .edit_file(context, |document| {
                document.set_telemetry("enabled", json!(on));
                Ok(())
            })
            .map_err(|error| config_error(&error))?,
    }
    let telemetry = context.store.load().map_err(|error| config_error(&error))?.telemetry;
    let consent = RunFacts::new(&context.root, &context.environment).consent(&telemetry);
    let answer = json!({"enabled": consent.may_record(), "sending": consent.word(), "reason": consent.reason()});
    print(context.format, &answer, |_| {
        let word = if on { "enabled" } else { "disabled" };
        format!("Telemetry {word}.\n{}", consent.reason())
    })
}

impl Input {
    /// Reads the file, or standard input.
    fn read(&self) -> Result<Vec<u8>, CliError> {
        let (named, read) = match self.file.as_deref() {
            Some(path) if path != Path::new("-") => {
                (format!("`{}`", path.display()), files::read_bounded(path, MAX_INPUT))
            }
            _ => ("standard input".to_owned(), read_standard_input()),
        };
        read.map_err(|error| CliError::new("INVALID_INPUT", format!("could not read {named}: {error}")))
    }
}

fn read_standard_input() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes)?;
    Ok(bytes)
}
