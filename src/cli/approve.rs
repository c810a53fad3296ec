//! `mcpproxy upstream approve` and `inspect`: what a server runs, sends and offers, and the user's decision.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::add::Change;
use crate::cli::args::ApproveArguments;
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, missing, not_found};
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::output::{print, print_review, report, say_review};
use crate::cli::prompt::confirm;
use crate::cli::server_path::server_path;
use crate::cli::wait::{Waited, until_connected};
use crate::client::{CallError, Client};
use crate::config::Config;
use crate::contract::api::{Approved, Server, ServerAction, ServerTools, Servers};
use crate::contract::review::Review;
use crate::contract::review_text::{
    self, Mark, ReviewLine, Subject, approval, confirmations, named_tools, review_lines, whole_review,
};
use crate::contract::visible_text::one_line;
use crate::control::review::ReviewedEntry;
use crate::upstream::isolation::Isolator;

/// How long an inspection may take: the first start of a server may download packages.
const INSPECTION: Duration = Duration::from_secs(240);

/// Shows the review and approves what it showed.
pub async fn approve(context: &Context, link: &CoreLink, options: &ApproveArguments) -> Result<(), CliError> {
    if options.wait.is_some() || options.inspect {
        link.require()?;
    }
    let Some(client) = link.running() else {
        return approve_in_file(context, link, options).await;
    };
    let names = match &options.name {
        Some(name) => vec![name.clone()],
        None => waiting(client).await?,
    };
    let mut reviews = Vec::new();
    for name in &names {
        if options.inspect {
            let before = review_of(client, name).await?;
            if let Some(given) = &before.inspection {
                say_review(&[ReviewLine::new(
                    Mark::Plain,
                    &format!("Starting `{name}` to list its tools. {given}"),
                )]);
            }
            let patient = client.clone().with_answer_limit(INSPECTION);
            let path = format!("{}/inspect", server_path(name));
            patient.post::<Value>(&path, None).await.map_err(|error| missing(error, name))?;
        }
        let review = review_of(client, name).await?;
        let subject = subject(&review, &options.tools)?;
        reviews.push((review, subject));
    }
    reviews.retain(|(_, subject)| *subject != Subject::Nothing);
    if reviews.is_empty() {
        let change = Change::new(options.name.as_deref().unwrap_or_default(), "Nothing needs approval.".to_owned());
        return report(context, &change, |change| change.sentence.clone());
    }
    if !options.yes {
        ask(&reviews)?;
    }
    let enabled = reviews.iter().filter(|(review, _)| review.enabled);
    let started: Vec<String> = enabled.map(|(review, _)| review.name.clone()).collect();
    for (review, subject) in reviews {
        apply(context, client, &review, subject).await?;
    }
    match options.wait {
        Some(seconds) => wait(context, client, &started, seconds).await,
        None => Ok(()),
    }
}

/// Waits until approved servers are connected.
async fn wait(context: &Context, client: &Client, names: &[String], seconds: u64) -> Result<(), CliError> {
    let Waited { connected, failed } = until_connected(client, names, Duration::from_secs(seconds)).await?;
    // In other formats, the approvals were printed already.
    if context.format == Format::Table && !connected.is_empty() {
        report(context, &connected, |connected| {
            let line = |server: &Server| format!("`{}` is connected ({} tools).", server.name, server.tool_count);
            connected.iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
    }
    failed.map_or(Ok(()), Err)
}

/// The servers with something to approve.
async fn waiting(client: &Client) -> Result<Vec<String>, CliError> {
    let servers = client.get::<Servers>("/api/v1/servers").await?.servers;
    let waits = servers.into_iter().filter(|server| server.quarantined || server.waiting_tools().is_some());
    Ok(waits.map(|server| server.name).collect())
}

fn subject(review: &Review, tools: &[String]) -> Result<Subject, CliError> {
    if tools.is_empty() {
        return Ok(review_text::subject(review));
    }
    named_tools(review, tools).map_err(|name| {
        CliError::new("INVALID_INPUT", format!("`{}` has no tool `{name}`", review.name))
            .guided(format!("see its tools with `mcpproxy upstream inspect {}`", review.name))
    })
}

async fn review_of(client: &Client, name: &str) -> Result<Review, CliError> {
    let review = client.review(name).await.map_err(|error| missing(error, name))?;
    Review::read(&review).map_err(|problem| {
        CliError::new("OPERATION_FAILED", format!("could not read the review of `{name}`: {problem}"))
            .guided("use the same version of mcpproxy as the running one")
    })
}

/// Shows everything on standard error and asks once, and once more for each dangerous setting.
fn ask(reviews: &[(Review, Subject)]) -> Result<(), CliError> {
    let declined = || CliError::new("OPERATION_FAILED", "not approved").guided("use --yes to approve without asking");
    for (review, subject) in reviews {
        say_review(&review_lines(review, subject));
    }
    for (review, subject) in reviews {
        for danger in confirmations(review, subject) {
            let question = format!("{}: {}. Approve this, too?", review.name, danger.text);
            if !confirm(&one_line(&question), "--yes")? {
                return Err(declined());
            }
        }
    }
    let names: Vec<String> = reviews.iter().map(|(review, _)| format!("`{}`", review.name)).collect();
    if confirm(&format!("Approve {}?", names.join(", ")), "--yes")? {
        Ok(())
    } else {
        Err(declined())
    }
}

async fn apply(context: &Context, client: &Client, review: &Review, subject: Subject) -> Result<(), CliError> {
    let name = review.name.as_str();
    let failed = |error: CallError| match &error {
        CallError::Status { code: 409, .. } => CliError::new("OPERATION_FAILED", error.to_string())
            .guided(format!("review it again: mcpproxy upstream approve {name}")),
        _ => missing(error, name),
    };
    let Some((_, body)) = approval(review, &subject) else { return Ok(()) };
    match subject {
        Subject::Server => {
            let done: ServerAction = client.approve_server(name, &body).await.map_err(failed)?;
            report(context, &done, |done| match review.enabled {
                true => format!("Approved `{}`. It is starting.", done.server),
                false => format!("Approved `{}`. It is disabled: mcpproxy upstream enable {name}", done.server),
            })
        }
        Subject::Tools(_) => {
            let done: Approved = client.approve_tools(name, &body).await.map_err(failed)?;
            report(context, &done, |done| format!("{}.", done.message))
        }
        Subject::Nothing => Ok(()),
    }
}

/// Approves a new server in the file. Tools can only be approved while their server runs.
async fn approve_in_file(context: &Context, link: &CoreLink, options: &ApproveArguments) -> Result<(), CliError> {
    let document = context.store.document().map_err(|error| config_error(&error))?;
    let waits = |entry: &serde_json::Map<String, Value>| entry.get("quarantined") == Some(&json!(true));
    let entries = document.entries();
    if let Some(name) = &options.name
        && !entries.iter().any(|(found, _)| found == name)
    {
        return Err(not_found(name));
    }
    let chosen =
        entries.iter().filter(|(name, entry)| waits(entry) && options.name.as_ref().is_none_or(|one| one == name));
    let config = Config::parse(context.store.path(), &document.text()).ok();
    let isolator = Isolator::new(context.root.path());
    let mut reviews: Vec<(Review, Subject)> = Vec::new();
    for (name, entry) in chosen {
        let mut review = ReviewedEntry::new(entry, |key| document.get(key).cloned()).review(None);
        let server = config.iter().flat_map(|config| &config.servers).find(|server| server.name == *name);
        if let Some(server) = server {
            let (isolation, variables) = isolator.facts(server).await;
            review.isolation = Some(isolation);
            review.variables = variables;
        }
        reviews.push((review, Subject::Server));
    }
    if reviews.is_empty() || !options.tools.is_empty() {
        return link.require().map(|_| ());
    }
    if !options.yes {
        ask(&reviews)?;
    }
    for (review, _) in &reviews {
        let shown = &review.fingerprint;
        let edit = |document: &mut crate::config::document::Document| {
            let now = document.entries().into_iter().find(|(name, _)| *name == review.name);
            let reader = document.clone();
            let same = now.is_some_and(|(_, entry)| {
                ReviewedEntry::new(&entry, |key| reader.get(key).cloned()).fingerprint() == *shown
            });
            if !same {
                return Err(crate::config::document::EditError::Changed(review.name.clone()));
            }
            document.set_in_server(&review.name, "quarantined", json!(false))
        };
        link.edit_file(context, edit).map_err(|error| config_error(&error))?;
        let sentence = format!("Approved `{}`. It will start with MCPProxy, which is not running.", review.name);
        report(context, &Change::new(&review.name, sentence), |change| change.sentence.clone())?;
    }
    Ok(())
}

/// Shows everything about a server and its tools, in full.
pub async fn inspect(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let client = link.require()?;
    if context.format != Format::Table {
        let tools: ServerTools =
            client.get(&format!("{}/tools", server_path(name))).await.map_err(|error| missing(error, name))?;
        return print(context.format, &tools, |_| String::new());
    }
    let review = review_of(client, name).await?;
    print_review(&whole_review(&review))
}
