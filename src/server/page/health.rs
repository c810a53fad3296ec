//! The page *Health*: problems and their remedies.

use maud::{Markup, html};

use crate::contract::api::{Diagnostics, Server, Status};
use crate::server::page::home::fix;
use crate::server::page::layout::{Frame, empty, encoded, foreign, heading, message, number, page};

pub(super) fn view(
    frame: &Frame,
    found: &Diagnostics,
    servers: &[Server],
    status: &Status,
    data_directory: &str,
) -> Markup {
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
                    a.name href={"/ui/servers/" (encoded(&one.server_id))} { (foreign(&one.server_id)) }
                    p { (message(&one.user_message)) }
                    @if let Some(cause) = &one.cause { p.quiet { (message(cause)) } }
                    div.actions {
                        @if let Some(server) = servers.iter().find(|server| server.name == one.server_id) { (fix(frame, server)) }
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
        section.panel aria-labelledby="about" {
            h2 #about { "About" }
            dl.facts {
                dt { "Version" } dd { (frame.version) @if let Some(latest) = newer(status) { " – version " (latest) " is available" } }
                dt { "State" } dd { (status.status.phase.word()) }
                dt { "Listens on" } dd { code { (status.listen_addr) } }
                dt { "Data directory" } dd { code { (foreign(data_directory)) } }
                dt { "Process ID" } dd { (status.status.process_pid) }
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
