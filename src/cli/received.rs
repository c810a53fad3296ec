//! `mcpproxy telemetry received` and `forget`: what the collector stores for this installation, and its deletion.

use std::io::{BufRead, Write};

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::output::{pairs, print};
use crate::os::https::Url;
use crate::server::run_facts::endpoint;
use crate::telemetry::ask_collector::ask_collector;
use crate::telemetry::collector::Collector;
use crate::telemetry::payload::{AnonymousId, Moment};

/// Shows what is stored, as the collector returns it.
pub async fn received(context: &Context) -> Result<(), CliError> {
    let (collector, id) = collector_and_id(context)?;
    let stored = ask(collector.mine_url().clone(), id).await?;
    match context.format {
        Format::Table => print(Format::Json, &stored, |_| String::new()),
        format => print(format, &stored, Value::to_string),
    }
}

/// Deletes what is stored. The id was its only link to this installation: later reports carry a new one.
pub async fn forget(context: &Context, link: &CoreLink, yes: bool) -> Result<(), CliError> {
    let (collector, id) = collector_and_id(context)?;
    if !yes && context.format == Format::Table && !confirmed() {
        return Err(CliError::new("OPERATION_FAILED", "did not delete the stored reports")
            .guided("use --yes to delete without asking"));
    }
    let answer = ask(collector.forget_url().clone(), id).await?;
    if answer.get("forgotten") != Some(&json!(true)) {
        return Err(CliError::new("OPERATION_FAILED", "the collector has not deleted it yet")
            .guided("repeat the command later; `mcpproxy telemetry received` shows what is left"));
    }
    new_id(context, link).await?;
    print(context.format, &answer, |answer| {
        let number = |key| answer.get(key).map_or_else(String::new, Value::to_string);
        let lines = [("Deleted reports", number("deleted_reports")), ("Left", number("left"))];
        let next = "Later reports use a new id. `mcpproxy telemetry disable` stops them.";
        format!("{}\n{next}", pairs(&lines))
    })
}

fn collector_and_id(context: &Context) -> Result<(Collector, AnonymousId), CliError> {
    let telemetry = context.store.load().map_err(|error| config_error(&error))?.telemetry;
    let collector = endpoint(&telemetry).and_then(Collector::parse).ok_or_else(|| {
        CliError::new("INVALID_INPUT", "no collector is configured, so nothing was sent")
            .guided("set `telemetry.endpoint` in the configuration")
    })?;
    let id = telemetry.anonymous_id.as_deref().and_then(AnonymousId::existing).ok_or_else(|| {
        CliError::new("INVALID_INPUT", "this installation has no anonymous id, so nothing was sent")
            .guided("`mcpproxy telemetry status` shows whether reports are sent")
    })?;
    Ok((collector, id))
}

async fn ask(url: Url, id: AnonymousId) -> Result<Value, CliError> {
    ask_collector(&url, &id).await.map_err(|error| {
        CliError::new("CONNECTION_FAILED", format!("could not ask the collector: {error}"))
            .guided("check `telemetry.endpoint`, and try again later")
    })
}

/// Replaces the id by a new one.
async fn new_id(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let id = AnonymousId::random();
    let now = crate::os::clock::now().as_second();
    let values = [
        ("anonymous_id".to_owned(), json!(id)),
        ("anonymous_id_created_at".to_owned(), json!(Moment::from_unix(now))),
    ];
    match link.running() {
        Some(client) => {
            let part = json!({"telemetry": values.into_iter().collect::<serde_json::Map<_, _>>()});
            client.patch::<Value>("/api/v1/config", &part).await?;
        }
        None => link
            .edit_file(context, |document| {
                for (key, value) in &values {
                    document.set_telemetry(key, value.clone());
                }
                Ok(())
            })
            .map_err(|error| config_error(&error))?,
    }
    Ok(())
}

fn confirmed() -> bool {
    eprint!("Delete everything that the collector stores for this installation? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
