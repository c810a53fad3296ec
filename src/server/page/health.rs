//! The page *Health*: problems with their codes and remedies, what waits, and the end of MCPProxy's log.

use maud::{Markup, html};

use crate::contract::api::{Diagnostics, Server, Status};
use crate::server::page::home::fix;
use crate::server::page::layout::{Frame, empty, encoded, foreign, heading, message, number, page, time};
use crate::server::page::server_log;

/// The page's data, besides the problems.
#[derive(Debug)]
pub(super) struct Health {
    pub servers: Vec<Server>,
    pub status: Status,
    pub data_directory: String,
    /// The latest lines of MCPProxy's log.
    pub log: Vec<String>,
}

pub(super) fn view(frame: &Frame, found: &Diagnostics, shown: &Health) -> Markup {
    let status = &shown.status;
    let count = usize::try_from(found.total_issues).unwrap_or(usize::MAX);
    let lead = if count == 0 {
        "No problems found.".to_owned()
    } else {
        number(count, "problem", "problems")
    };
    let contents = html! {
        (heading("Health", &lead, &html! {}))
        @if count == 0 && found.runtime_warnings.is_empty() {
            (empty("Everything works", "Problems with servers, sign-ins, secrets and settings appear here.", &html! {}))
        }
        @if !found.diagnostics.is_empty() {
            section { h2 { "Servers that need attention" } ul.cards { @for one in &found.diagnostics {
                li.card {
                    div.between { a.name href={"/ui/servers/" (encoded(&one.server_id))} { (foreign(&one.server_id)) } code.quiet { (one.code) } }
                    p { (message(&one.user_message)) }
                    @if let Some(cause) = &one.cause { p.quiet { (message(cause)) } }
                    div.actions {
                        @if let Some(server) = shown.servers.iter().find(|server| server.name == one.server_id) { (fix(frame, server)) }
                        a.button href={"/ui/servers/" (encoded(&one.server_id))} { "Details" span.hidden { " of " (one.server_id) } }
                    }
                }
            } } }
        }
        @if !found.missing_secrets.is_empty() {
            section { h2 { "Missing secrets and variables" } ul.plain { @for one in &found.missing_secrets {
                li { code { (foreign(&one.secret_name)) } ", used by " (foreign(&one.used_by.join(", "))) }
            } }
            p.quiet { "Set the variable where MCPProxy is started, or store a secret with " code { "mcpproxy secrets set NAME" } " and refer to it with " code { "${keyring:NAME}" } "." } }
        }
        @if !found.runtime_warnings.is_empty() {
            section { h2 { "Worth knowing" } ul.stack { @for warning in &found.runtime_warnings { li.panel { p { (message(warning)) } } } } }
        }
        @if !found.waiting.is_empty() {
            section { h2 { "Waiting" } ul.stack { @for wait in &found.waiting { li.panel { p {
                a.name href={"/ui/servers/" (encoded(&wait.server_name))} { (foreign(&wait.server_name)) }
                @if let Some(request) = &wait.request { " " code { (foreign(request)) } }
                " waits for " (message(&wait.waits_for)) ", since " (time(&wait.since)) @if let Some(limit) = wait.limit_seconds { ", at most " (limit) " s" }
            } } } } }
        }
        section.panel aria-labelledby="about" {
            h2 #about { "About" }
            dl.facts {
                dt { "Version" } dd { (frame.version) @if let Some(latest) = newer(status) { " – version " (latest) " is available" } }
                dt { "State" } dd { (status.status.phase.word()) }
                dt { "Listens on" } dd { code { (status.listen_addr) } }
                dt { "Data directory" } dd { code { (foreign(&shown.data_directory)) } }
                dt { "Process ID" } dd { (status.status.process_pid) }
            }
        }
        @if !shown.log.is_empty() {
            section aria-labelledby="log" {
                h2 #log { "Log of MCPProxy" }
                pre.log tabindex="0" aria-label="Log of MCPProxy" { (server_log::lines(&shown.log)) }
            }
        }
    };
    page(frame, "/ui/health", "Health", &contents)
}

fn newer(status: &Status) -> Option<String> {
    let update = serde_json::to_value(status.update.as_ref()?).ok()?;
    let is_newer = update.get("available").and_then(serde_json::Value::as_bool)?;
    let version = update.get("latest_version").and_then(serde_json::Value::as_str)?;
    is_newer.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::{Diagnostic, Waiting};

    #[test]
    fn problems_have_codes_and_what_waits_and_the_log_are_shown() {
        let found = Diagnostics {
            total_issues: 1,
            diagnostics: vec![Diagnostic {
                code: "MCPX_STDIO_SPAWN_ENOENT".into(),
                server_id: "files".into(),
                ..Diagnostic::default()
            }],
            waiting: vec![Waiting {
                server_name: "slow".into(),
                waits_for: "a reply to `initialize`".into(),
                limit_seconds: Some(60),
                ..Waiting::default()
            }],
            ..Diagnostics::default()
        };
        let health = |log: &[&str]| Health {
            servers: Vec::new(),
            status: serde_json::from_str("{}").unwrap(),
            data_directory: String::new(),
            log: log.iter().map(|line| (*line).to_owned()).collect(),
        };
        let shown = health(&["2026-01-02T03:04:05.678901Z  WARN <b>files</b> failed"]);
        let text = view(&Frame::default(), &found, &shown).into_string();
        for part in [
            "MCPX_STDIO_SPAWN_ENOENT",
            "waits for a reply to <code>initialize</code>",
            "at most 60 s",
            "&lt;b&gt;files&lt;/b&gt; failed",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let none = view(&Frame::default(), &Diagnostics::default(), &health(&[])).into_string();
        assert!(none.contains("Everything works") && !none.contains("Log of MCPProxy"), "{none}");
    }
}
