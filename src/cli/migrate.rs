//! `mcpproxy migrate`: what becomes of the Go core's data directory.

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::contract::api::{Takeover, TakeoverRequest};
use crate::contract::names;
use crate::os::lock::{Attempt, Lock};
use crate::server::take_over::{self, State, TakeOverError, take_over};

#[derive(Debug, Args)]
pub struct MigrateArguments {
    /// Show what would be taken over, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn migrate(context: &Context, link: &CoreLink, options: &MigrateArguments) -> Result<(), CliError> {
    if options.dry_run {
        let planned = take_over::preview(&context.root, &context.store).map_err(|error| failed(&error))?;
        let shown = planned.map_or_else(Takeover::default, |planned| Takeover {
            summary: planned.plan.summary(),
            text: planned.plan.text(),
            plan: json!(planned.plan),
            ..Takeover::default()
        });
        return print(context.format, &shown, table);
    }
    let shown = match link.running() {
        Some(client) => {
            let info: crate::contract::api::Info = client.get("/api/v1/info").await?;
            if info.implementation.as_deref() != Some(names::IMPLEMENTATION) {
                let error = CliError::new("OPERATION_FAILED", "could not take over: the Go core is running");
                return Err(error.guided("quit it first, or show what would happen: mcpproxy migrate --dry-run"));
            }
            let now: Takeover = client.get("/api/v1/takeover").await?;
            match now.complete || now.taken_over_at.is_none() {
                true => now,
                false => {
                    let request = TakeoverRequest {
                        retry: true,
                        ..TakeoverRequest::default()
                    };
                    client.post("/api/v1/takeover", Some(&json!(request))).await?
                }
            }
        }
        None => without_core(context)?,
    };
    print(context.format, &shown, table)
}

/// Takes over while no core runs; none may start meanwhile.
fn without_core(context: &Context) -> Result<Takeover, CliError> {
    let locked = |what: String| CliError::new("OPERATION_FAILED", format!("could not take over: {what}"));
    let lock = Lock::attempt(&context.root.core_lock()).map_err(|error| locked(error.to_string()))?;
    let Attempt::Held(_lock) = lock else {
        return Err(locked("another core is starting or ending".to_owned()));
    };
    let now = crate::os::clock::now().to_string();
    match take_over(&context.root, &context.store, now).map_err(|error| failed(&error))? {
        State::Nothing => Ok(Takeover::default()),
        State::Done(record) => Ok(Takeover {
            taken_over_at: Some(record.taken_over_at.clone()),
            complete: record.complete,
            shown: record.shown,
            summary: record.plan.summary(),
            text: record.plan.text(),
            plan: json!(record.plan),
        }),
    }
}

fn failed(error: &TakeOverError) -> CliError {
    match error {
        TakeOverError::Config(error) => config_error(error),
        error => CliError::new("OPERATION_FAILED", error.to_string()),
    }
}

fn table(shown: &Takeover) -> String {
    if shown.text.is_empty() {
        return "There is no data of the Go core to take over.".to_owned();
    }
    let when = match &shown.taken_over_at {
        Some(at) => format!("{} ({at})", shown.summary),
        None => "This is what will be taken over. Nothing has been changed.".to_owned(),
    };
    format!("{when}\n\n{}", shown.text)
}
