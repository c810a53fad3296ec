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
use crate::cli::wait::until_connected;
use crate::client::{CallError, Client};
use crate::config::Config;
use crate::contract::api::{Approved, Server, ServerAction, ServerTools, Servers};
use crate::contract::review::Review;
use crate::contract::review_text::{
    self, Subject, approval, confirmations, named_tools, review_lines, whole_review,
};
use crate::contract::visible_text::one_line;
use crate::control::review::ReviewedEntry;
use crate::upstream::isolation::Isolator;

/// Shows the review and approves what it showed.
pub async fn approve(context: &Context, link: &CoreLink, options: &ApproveArguments) -> Result<(), CliError> {
    if options.wait.is_some() {
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
<<<<<<< HEAD
        let review = client.review(name).await.map_err(|error| missing(error, name))?;
=======
        let review = review_of(client, name).await?;
>>>>>>> trust
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
    let connected = until_connected(client, names, Duration::from_secs(seconds)).await?;
    if context.format != Format::Table {
        // The approvals were printed already.
        return Ok(());
    }
    report(context, &connected, |connected| {
        let line = |server: &Server| format!("`{}` is connected ({} tools).", server.name, server.tool_count);
        connected.iter().map(line).collect::<Vec<_>>().join("\n")
    })
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
    let review: Value =
        client.get(&format!("{}/review", server_path(name))).await.map_err(|error| missing(error, name))?;
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
    let Some((action, body)) = approval(review, &subject) else { return Ok(()) };
    let path = format!("{}/{action}", server_path(name));
    match subject {
        Subject::Server => {
            let done: ServerAction = client.post(&path, Some(&body)).await.map_err(failed)?;
            report(context, &done, |done| match review.enabled {
                true => format!("Approved `{}`. It is starting.", done.server),
                false => format!("Approved `{}`. It is disabled: mcpproxy upstream enable {name}", done.server),
            })
        }
<<<<<<< HEAD
        Subject::Tools(fingerprints) => {
            let done: Approved = client.approve_tools(name, &fingerprints).await.map_err(failed)?;
=======
        Subject::Tools(_) => {
            let done: Approved = client.post(&path, Some(&body)).await.map_err(failed)?;
>>>>>>> trust
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
<<<<<<< HEAD
    let review = client.review(name).await.map_err(|error| missing(error, name))?;
    print(context.format, &review, |review| {
        let tools = review.tools.iter().map(|tool| tool_text(tool, true));
        let tools = tools.chain(review.offers.iter().map(offer_text)).collect::<Vec<_>>();
        let tools = if tools.is_empty() { "No tools.".to_owned() } else { tools.join("\n\n") };
        format!("{}\n\n{tools}", entry_text(review))
    })
}

/// The review of what is to be approved.
fn shown(review: &Review, subject: &Subject) -> String {
    let mut blocks = vec![entry_text(review)];
    if let Subject::Tools(fingerprints) = subject {
        let named = review.tools.iter().filter(|tool| fingerprints.contains_key(&tool.name));
        blocks.extend(named.map(|tool| tool_text(tool, false)));
        let offers = review.offers.iter().filter(|offer| fingerprints.contains_key(&offer.key));
        blocks.extend(offers.map(offer_text));
    }
    blocks.join("\n\n") + "\n"
}

/// The entry: what runs and what leaves this computer.
fn entry_text(review: &Review) -> String {
    let mut lines = vec![format!(
        "{}{}",
        review.name,
        if review.needs_approval { " (needs approval)" } else { "" }
    )];
    let mut line = |label: &str, text: String| lines.push(format!("  {label:<12} {}", one_line(&text)));
    if let Some(command) = &review.command {
        let words: Vec<String> = std::iter::once(command).chain(&review.args).map(|word| quoted(word)).collect();
        line("Command", words.join(" "));
    }
    if let Some(directory) = &review.working_dir {
        line("Directory", directory.clone());
    }
    if let Some(url) = &review.url {
        line("URL", url.clone());
    }
    let pair = |value: &ReviewValue| format!("{}={}", value.name, value.value);
    review.env.iter().for_each(|value| line("Environment", pair(value)));
    review.headers.iter().for_each(|value| line("Header", pair(value)));
    review.other.iter().for_each(|(key, value)| line(key, value.to_string()));
    if let Some(origin) = &review.added_by {
        let when = review.created.as_ref().map(|when| format!(", {when}")).unwrap_or_default();
        line("Added by", format!("{origin}{when}"));
    }
    for warning in &review.warnings {
        line("WARNING", format!("{}: {} `{}`", warning.field, warning.reason, warning.quote));
    }
    lines.join("\n")
}

/// A tool with its description, and its whole definition if `in_full`.
fn tool_text(tool: &ReviewTool, in_full: bool) -> String {
    let state = if tool.disabled { "off" } else { tool.approval.as_str() };
    let changed = if tool.changes.is_empty() {
        String::new()
    } else {
        format!(", changed: {}", tool.changes.join(", "))
    };
    let mut lines = vec![format!("{} ({state}{changed})", one_line(&tool.name))];
    if let Some(previous) = &tool.previous_description {
        lines.push(indented("- ", previous));
    }
    if let Some(description) = tool.definition.get("description").and_then(Value::as_str) {
        lines.push(indented(if tool.previous_description.is_some() { "+ " } else { "" }, description));
    }
    if in_full {
        let mut definition = tool.definition.clone();
        if let Some(fields) = definition.as_object_mut() {
            fields.retain(|key, _| key != "name" && key != "description");
        }
        lines.push(indented("", &serde_json::to_string_pretty(&definition).unwrap_or_default()));
    }
    lines.join("\n")
}

/// A prompt or a resource template.
fn offer_text(offer: &ReviewOffer) -> String {
    let definition = serde_json::to_string_pretty(&offer.definition).unwrap_or_default();
    format!("{} ({})\n{}", one_line(&offer.key), offer.approval, indented("", &definition))
}

fn indented(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("    {mark}{line}")).collect::<Vec<_>>().join("\n")
}

/// A word of a command as a shell needs it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@=,+~%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        Value::from(word).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review() -> Review {
        let tool = |name: &str, approval: &str| ReviewTool {
            name: name.to_owned(),
            fingerprint: format!("f-{name}"),
            approval: approval.to_owned(),
            definition: json!({"name": name, "description": "line 1\nline 2 \u{202e}", "inputSchema": {"type": "object"}}),
            ..ReviewTool::default()
        };
        Review {
            name: "fs".to_owned(),
            command: Some("npx".to_owned()),
            args: vec!["-y".to_owned(), "a b".to_owned(), "x".repeat(500)],
            env: vec![ReviewValue {
                name: "TOKEN".to_owned(),
                value: "${env:T}".to_owned(),
                references: Vec::new(),
            }],
            tools: vec![tool("a", "approved"), tool("b", "pending"), tool("c", "changed")],
            ..Review::default()
        }
    }

    #[test]
    fn what_is_approved_is_what_was_shown() {
        let new = Review {
            needs_approval: true,
            ..review()
        };
        assert_eq!(subject(&new, &[]).unwrap(), Subject::Server);
        let Subject::Tools(all) = subject(&review(), &[]).unwrap() else { panic!() };
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [("b".into(), "f-b".into()), ("c".into(), "f-c".into())]);
        let Subject::Tools(one) = subject(&new, &["c".to_owned()]).unwrap() else { panic!() };
        assert_eq!(one.len(), 1);
        assert!(subject(&new, &["nope".to_owned()]).unwrap_err().message.contains("no tool `nope`"));
        let done = Review {
            tools: Vec::new(),
            ..review()
        };
        assert_eq!(subject(&done, &[]).unwrap(), Subject::Nothing);
    }

    #[test]
    fn everything_is_shown_in_full() {
        let text = entry_text(&review());
        assert!(text.contains(&format!("npx -y \"a b\" {}", "x".repeat(500))), "{text}");
        assert!(text.contains("TOKEN=${env:T}"), "{text}");
        let text = tool_text(&review().tools[1], true);
        assert!(text.contains("    line 1\n    line 2") && text.contains("inputSchema"), "{text}");
    }
=======
    let review = review_of(client, name).await?;
    print_review(&whole_review(&review));
    Ok(())
>>>>>>> trust
}
