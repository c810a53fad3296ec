//! `mcpproxy doctor`: problems and how to fix them.

use serde_json::Value;

use crate::cli::args::{DoctorArguments, DoctorCommand, FixArguments};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, not_found};
use crate::cli::error::CliError;
use crate::cli::output::{print, report, rows};
use crate::cli::server_path::server_path;
use crate::cli::upstream::term;
use crate::client::{CallError, Client, go_core};
use crate::contract::api::{
    Diagnostic, Diagnostics, FixMode, FixRequest, FixResult, FixStep, FixStepKind, ServerDiagnostics, Servers, Waiting,
};
use crate::contract::exit_code::ExitCode;
use crate::contract::names;
use crate::diagnostics::catalog::{Entry, Fixer};
use crate::diagnostics::code::Code;
use crate::diagnostics::page;
use crate::server::encryption;

/// Runs `doctor` and its subcommands. The checks exit with 0 whatever they find, like the Go core's.
pub async fn run(context: &Context, link: &CoreLink, options: DoctorArguments) -> Result<(), CliError> {
    match options.command {
        Some(DoctorCommand::ListCodes { code }) => list_codes(context, code.as_deref()),
        Some(DoctorCommand::Fix(options)) => fix(context, link, &options).await,
        None if options.codes => list_codes(context, None),
        None => match options.server {
            Some(server) => of_server(context, link, &server).await,
            None => doctor(context, link).await,
        },
    }
}

async fn doctor(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let Some(client) = link.running() else { return not_running(context, link) };
    let mut found: Diagnostics = client.get("/api/v1/diagnostics").await?;
    if !client.is_ours().await? {
        let servers: Servers = client.get("/api/v1/servers").await?;
        found.runtime_warnings = go_core::problems(&found, &servers.servers);
    }
    print(context.format, &found, table)
}

/// Explains why no core runs: an invalid configuration and a taken port are the most likely reasons.
fn not_running(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let config = context.store.load().map_err(|error| coded(config_error(&error), Code::ConfigParse))?;
    if link.problem().is_some() {
        return link.require().map(|_| ());
    }
    if let Some((sentence, help)) = encryption::refusal(&encryption::wanted(&config, &context.environment)) {
        let error = CliError::new("OPERATION_FAILED", sentence).guided(help);
        return Err(CliError {
            exit: ExitCode::Configuration,
            ..error
        });
    }
    let listen = context.environment.non_empty(names::ENV_LISTEN).unwrap_or(&config.listen);
    if std::net::TcpListener::bind(listen).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse) {
        let text = format!("another program uses `{listen}`, so MCPProxy cannot start there");
        return Err(coded(CliError::new("PORT_IN_USE", text), Code::PortInUse));
    }
    link.require().map(|_| ())
}

/// An error with the stable code of the problem, and its remedy.
fn coded(error: CliError, code: Code) -> CliError {
    let name = code.name();
    let guidance = format!("{} Details: mcpproxy doctor list-codes {name}", Entry::of(code).remedy);
    CliError {
        code: name,
        ..error.guided(guidance)
    }
}

fn table(found: &Diagnostics) -> String {
    let mut parts: Vec<String> = found.diagnostics.iter().map(problem).collect();
    parts.extend(found.runtime_warnings.iter().cloned());
    if parts.is_empty() {
        parts.push("No problems found.".to_owned());
    }
    if !found.waiting.is_empty() {
        let lines: Vec<String> = found.waiting.iter().map(|wait| format!("  {}", waiting(wait))).collect();
        parts.push(format!("Waiting:\n{}", lines.join("\n")));
    }
    parts.join("\n\n")
}

/// Servers and calls that wait: the step, the start and the deadline.
fn waiting(wait: &Waiting) -> String {
    let who = match &wait.request {
        Some(request) => format!("{}: `{request}`", wait.server_name),
        None => wait.server_name.clone(),
    };
    let limit = wait.limit_seconds.map(|limit| format!(", at most {limit} s")).unwrap_or_default();
    format!("{who} has waited {} s for {} (since {}{limit})", wait.seconds, wait.waits_for, wait.since)
}

/// A problem with its cause and the ways to fix it.
fn problem(found: &Diagnostic) -> String {
    let name = &found.server_id;
    let mut lines = vec![format!("{name}: {}", found.user_message)];
    let mut add = |text: &str| lines.extend(text.lines().map(|line| format!("  {line}")));
    if let Some(cause) = &found.cause {
        add(cause);
    }
    add(found.remediation.as_deref().unwrap_or_default());
    for step in &found.fix_steps {
        add(&step_line(found, step));
    }
    add(&format!("Details: mcpproxy doctor list-codes {}", found.code));
    lines.join("\n")
}

fn step_line(found: &Diagnostic, step: &FixStep) -> String {
    let label = &step.label;
    match (step.kind, &step.command, &step.fixer_key, &step.url) {
        (FixStepKind::Command, Some(command), _, _) => format!("- {label}: {command}"),
        (FixStepKind::Button, _, Some(key), _) => {
            let execute = if step.destructive == Some(true) { " --execute" } else { "" };
            let server = &found.server_id;
            format!("- {label}: mcpproxy doctor fix {} --server {server} --fixer {key}{execute}", found.code)
        }
        (_, _, _, Some(url)) if url.starts_with("https:") => format!("- {label}: {url}"),
        _ => format!("- {label}"),
    }
}

async fn of_server(context: &Context, link: &CoreLink, name: &str) -> Result<(), CliError> {
    let found = of(link.require()?, name).await?;
    print(context.format, &found, |found| match &found.diagnostic {
        Some(found) => problem(found),
        None => format!("{name}: no problems found ({}).", term(&found.status)),
    })
}

/// Reads the problem of one server.
///
/// # Errors
/// [`CliError`]: there is no such server, or the core cannot be reached.
pub(super) async fn of(client: &Client, name: &str) -> Result<ServerDiagnostics, CliError> {
    let path = format!("{}/diagnostics", server_path(name));
    client.get(&path).await.map_err(|error| match error {
        CallError::Status { code: 404, .. } => not_found(name),
        error => error.into(),
    })
}

fn list_codes(context: &Context, code: Option<&str>) -> Result<(), CliError> {
    if let Some(name) = code {
        let entry = Entry::of(known(name)?);
        let text = serde_json::json!({"code": entry.code.name(), "page": page::markdown(entry)});
        return print(context.format, &text, |_| page::plain(entry));
    }
    let codes = Code::ALL.iter().map(|code| Entry::of(*code));
    let list: Vec<Value> = codes
        .map(|entry| {
            let severity = entry.code.severity().word();
            serde_json::json!({"code": entry.code.name(), "severity": severity, "user_message": page::general(entry.what)})
        })
        .collect();
    print(context.format, &list, |list| {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let row = |value: &Value| {
            vec![
                text(value, "code"),
                text(value, "severity"),
                text(value, "user_message"),
            ]
        };
        rows(&["CODE", "SEVERITY", "MEANING"], list.iter().map(row).collect(), "")
    })
}

fn known(name: &str) -> Result<Code, CliError> {
    Code::of_name(name).ok_or_else(|| {
        CliError::usage("INVALID_INPUT", format!("`{name}` is not a code"))
            .guided("see all codes with `mcpproxy doctor list-codes`")
    })
}

async fn fix(context: &Context, link: &CoreLink, options: &FixArguments) -> Result<(), CliError> {
    let entry = Entry::of(known(&options.code)?);
    let (fixer, destructive) = chosen(entry, options.fixer.as_deref())?;
    let client = link.require()?;
    let execute = options.execute || !destructive;
    let request = FixRequest {
        server: options.server.clone(),
        code: entry.code.name().to_owned(),
        fixer_key: fixer.key().to_owned(),
        mode: Some(if execute { FixMode::Execute } else { FixMode::DryRun }),
    };
    let body = serde_json::to_value(&request).unwrap_or_default();
    let sent = client.post::<FixResult>("/api/v1/diagnostics/fix", Some(&body)).await;
    let result = sent.map_err(|error| match error {
        CallError::Status { code: 404, .. } => not_found(&options.server),
        error => error.into(),
    })?;
    if let Some(error) = &result.failure_msg {
        return Err(CliError::new("OPERATION_FAILED", format!("could not fix `{}`: {error}", options.server)));
    }
    report(context, &result, |result| {
        let mut text = result.preview.clone().unwrap_or_default();
        if let Some(url) = &result.open_url {
            text = format!("{text}\nIf no browser opened: {url}");
        }
        if !execute {
            text = format!("{text}\nNothing has changed yet. Add --execute to do it.");
        }
        text
    })
}

/// The fix of a code: the named one, or the first.
fn chosen(entry: &Entry, key: Option<&str>) -> Result<(Fixer, bool), CliError> {
    let name = entry.code.name();
    let Some(key) = key else {
        return entry.fix().ok_or_else(|| {
            CliError::usage("INVALID_INPUT", format!("MCPProxy cannot fix {name} by itself"))
                .guided(format!("see what to do with `mcpproxy doctor list-codes {name}`"))
        });
    };
    let fixer = Fixer::of_key(key).and_then(|fixer| Some((fixer, entry.destructive(fixer)?)));
    fixer.ok_or_else(|| {
        let keys: Vec<&str> =
            Fixer::ALL.into_iter().filter(|fixer| entry.destructive(*fixer).is_some()).map(Fixer::key).collect();
        CliError::usage("INVALID_INPUT", format!("`{key}` is not a fix of {name}"))
            .guided(format!("use {}", keys.join(" or ")))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Arguments;
    use crate::diagnostics::catalog::Act;

    /// Every `mcpproxy` command in the catalog is one that exists.
    #[test]
    fn the_commands_of_the_catalog_exist() {
        for entry in Code::ALL.iter().map(|code| Entry::of(*code)) {
            for step in entry.steps {
                let Act::Command(command) = step.act else { continue };
                let command = page::general(command).replace('"', "");
                let Some(arguments) = command.strip_prefix("mcpproxy ") else { continue };
                let words = arguments.replace("Authorization: Bearer ${keyring:NAME}", "Authorization:x");
                let words = std::iter::once("mcpproxy").chain(words.split_whitespace());
                let parsed = Arguments::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{command}: {parsed:?}");
            }
        }
    }

    #[test]
    fn a_wait_says_who_waits_for_what_and_since_when() {
        let wait = Waiting {
            server_name: "db".to_owned(),
            request: Some("query".to_owned()),
            waits_for: "the server's response".to_owned(),
            since: "2026-11-30T02:00:00Z".to_owned(),
            seconds: 40,
            limit_seconds: Some(120),
        };
        let expected =
            "db: `query` has waited 40 s for the server's response (since 2026-11-30T02:00:00Z, at most 120 s)";
        assert_eq!(waiting(&wait), expected);
        let found = Diagnostics {
            waiting: vec![wait],
            ..Diagnostics::default()
        };
        assert_eq!(table(&found), format!("No problems found.\n\nWaiting:\n  {expected}"));
    }

    #[test]
    fn a_fix_is_chosen_by_its_key_or_is_the_first() {
        let entry = Entry::of(Code::HandshakeTimeout);
        assert_eq!(chosen(entry, None).ok(), Some((Fixer::ShowLogs, false)));
        assert_eq!(chosen(entry, Some("config_raise_init_timeout")).ok(), Some((Fixer::RaiseTimeout, true)));
        assert!(chosen(entry, Some("oauth_reauth")).unwrap_err().guidance.unwrap().contains("server_retry"));
        assert!(chosen(Entry::of(Code::ConfigParse), None).is_err());
    }
}
