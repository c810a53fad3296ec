//! The page *Home*: the state of the servers, open decisions, and the next setup steps.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::contract::api::{ActivityRecord, ActivityUsage, AiClient, HealthAction, McpSession, Server, TokenSavings};
use crate::server::page::activity::row;
use crate::server::page::layout::{
    Frame, SUMMARY, badge, bars, button_for, encoded, foreign, grouped, heading, message, number, page, periods,
    start_of, state_of, time,
};

/// Maximum number of servers in *Needs attention*.
const MOST_CARDS: usize = 8;

/// The page's data.
#[derive(Debug, Default)]
pub(super) struct Home {
    pub servers: Vec<Server>,
    /// A notice for users who edit the configuration file.
    pub notice: Option<String>,
    pub clients: Vec<AiClient>,
    pub usage: ActivityUsage,
    /// Sessions of AI clients that were active in the last half hour.
    pub sessions: Vec<McpSession>,
    pub savings: TokenSavings,
    /// Whether a call has succeeded.
    pub has_called: bool,
    /// The latest calls, newest first.
    pub recent: Vec<ActivityRecord>,
}

pub(super) fn view(frame: &Frame, home: &Home) -> Markup {
    let attention: Vec<&Server> = home.servers.iter().filter(|server| needs_attention(server)).collect();
    let lead = match (home.servers.len(), attention.len()) {
        (0, _) => "One place for the tools of all your AI clients, in four steps.".to_owned(),
        (_, 0) => "Everything works.".to_owned(),
        (_, count) => number(count, "server needs your attention.", "servers need your attention."),
    };
    let title = if home.servers.is_empty() { "Welcome to MCPProxy" } else { "Home" };
    let contents = html! {
        (heading(title, &lead, &html! {}))
        @if let Some(notice) = &home.notice { div.notice.bad role="status" { (notice) } }
        @if !home.servers.is_empty() { (numbers(home)) }
        @if !is_set_up(home) { (getting_started(home)) }
        @if !attention.is_empty() {
            section aria-labelledby="attention" {
                h2 #attention { "Needs attention" }
                ul.cards { @for server in attention.iter().take(MOST_CARDS) { (attention_card(frame, server)) } }
                @if attention.len() > MOST_CARDS { p.more { a href="/ui/servers" { "And " (attention.len() - MOST_CARDS) " more" } } }
            }
        }
        @if !home.servers.is_empty() { div.columns {
            section.panel aria-labelledby="calls" {
                h2 #calls { "Calls in the last 24 hours" }
                @if home.usage.timeline.iter().any(|period| period.calls > 0) { (bars(&periods(&home.usage), "Calls per hour in the last 24 hours")) }
                @else { p.quiet { "No calls yet. They appear here as your AI clients use tools." } }
            }
            section.panel aria-labelledby="clients" {
                h2 #clients { "Clients" }
                (clients(home))
            }
        } }
        @if !home.recent.is_empty() {
            section aria-labelledby="recent" {
                div.between { h2 #recent { "Latest calls" } a href="/ui/activity" { "All activity" } }
                div.table { table {
                    thead { tr { th { "Time" } th { "Call" } th { "Client" } th { "Result" } th.right { "Duration" } } }
                    tbody { @for record in &home.recent { (row(record)) } }
                } }
            }
        }
    };
    page(frame, "/ui/", "Home", &contents)
}

fn numbers(home: &Home) -> Markup {
    let connected = home.servers.iter().filter(|server| server.connected).count();
    let tools: u32 = home.servers.iter().filter(|server| server.connected).map(|server| server.tool_count).sum();
    let (today, month) = (home.savings.today, home.savings.this_month);
    let calls = |calls: u64| grouped(i64::try_from(calls).unwrap_or(i64::MAX));
    let installed = home.clients.iter().filter(|client| client.exists).count();
    let linked = home.clients.iter().filter(|client| client.connected).count();
    html! {
        dl.numbers {
            div { dt { "Servers connected" } dd { a href="/ui/servers" { (connected) small { " of " (home.servers.len()) } } } }
            div { dt { "Tools available" } dd { a href="/ui/tools" { (tools) } } }
            div { dt { "Calls today" } dd { a href="/ui/activity" { (calls(today.calls)) small { " this month " (calls(month.calls)) } } } }
            div { dt { "Tokens saved today" } dd { a href="/ui/activity#savings" { (grouped(today.saved_tokens)) small { " this month " (grouped(month.saved_tokens)) } } } }
            div { dt { "AI clients set up" } dd { a href="/ui/clients" { (linked) @if installed > 0 { small { " of " (installed) " found" } } @else { small { " none found" } } } } }
        }
    }
}

fn is_set_up(home: &Home) -> bool {
    steps(home).iter().all(|(done, ..)| *done)
}

type Step = (bool, &'static str, &'static str, &'static str, &'static str);

/// Returns the setup steps in order: whether it is done, its name, the reason, and the link.
fn steps(home: &Home) -> [Step; 4] {
    let has_servers = !home.servers.is_empty();
    let has_approved = home.servers.iter().any(|server| !server.quarantined);
    [
        (
            has_servers,
            "Add a server",
            "Import the servers that your AI clients already use, or add one by its command or URL.",
            "/ui/add",
            "Add or import",
        ),
        (has_approved, "Review it", "See exactly what will run before it runs.", "/ui/review", "Review"),
        (
            home.clients.iter().any(|client| client.connected),
            "Connect an AI client",
            "MCPProxy adds one entry to the client's configuration. You see the change first and can undo it.",
            "/ui/clients",
            "Connect",
        ),
        (
            home.has_called,
            "Make a call",
            "Ask your AI client to use a tool, or try one here.",
            "/ui/tools",
            "Try a tool",
        ),
    ]
}

fn getting_started(home: &Home) -> Markup {
    let steps = steps(home);
    let next = steps.iter().position(|(done, ..)| !done);
    html! {
        section.panel.start aria-labelledby="start" {
            div.between { h2 #start { "Get started" } a href="/ui/setup" { "Guide me" } }
            ol.steps {
                @for (index, (done, name, why, path, label)) in steps.iter().enumerate() {
                    li.done[*done].next[next == Some(index)] {
                        span.mark aria-hidden="true" { @if *done { "✓" } @else { (index + 1) } }
                        div {
                            strong { (name) @if *done { span.hidden { " (done)" } } }
                            @if !*done { p { (why) } }
                        }
                        @if next == Some(index) { a.button.primary href=(path) { (label) } }
                    }
                }
            }
        }
    }
}

fn needs_attention(server: &Server) -> bool {
    let (kind, _) = state_of(server);
    server.enabled && matches!(kind, "warn" | "bad")
}

/// Renders a server that needs attention, with its problem and the button of its remedy.
fn attention_card(frame: &Frame, server: &Server) -> Markup {
    let (kind, word) = state_of(server);
    let path = format!("/ui/servers/{}", encoded(&server.name));
    let summary = server.last_error.clone().or_else(|| server.health.as_ref().map(|health| health.summary.clone()));
    html! {
        li.card {
            div.between { a.name href=(path) { (server.name) } (badge(kind, word)) }
            @if let Some(summary) = summary { p.clamp { (message(&start_of(&summary, SUMMARY))) } }
            div.actions { (fix(frame, server)) a.button href=(path) { "Details" span.hidden { " of " (server.name) } } }
        }
    }
}

/// Whether the recommended action is a restart.
pub(super) fn suggests_restart(server: &Server) -> bool {
    server.health.as_ref().and_then(|health| Some(health.action.as_ref()?.word())) == Some("restart")
}

/// Renders the recommended action for a server.
pub(super) fn fix(frame: &Frame, server: &Server) -> Markup {
    let name = encoded(&server.name);
    let action = |action: &str, label: &str| {
        button_for(frame, &format!("/ui/servers/{name}/{action}"), label, "primary", &server.name, "")
    };
    if !server.enabled {
        return action("enable", "Enable");
    }
    let review = html! { a.button.primary href={"/ui/review/" (name)} { "Review" span.hidden { " " (server.name) } } };
    if server.quarantined || server.quarantine.is_some() {
        return review;
    }
    match server.health.as_ref().and_then(|health| health.action.as_ref()) {
        Some(HealthAction::Login) => action("login", "Sign in"),
        Some(HealthAction::Restart) => action("restart", "Restart"),
        Some(HealthAction::Approve) => review,
        Some(HealthAction::ViewLogs) => {
            html! { a.button.primary href={"/ui/servers/" (name) "#log"} { "View log" } }
        }
        Some(HealthAction::SetSecret | HealthAction::Configure) => {
            html! { a.button.primary href={"/ui/servers/" (name) "#edit"} { "Edit" } }
        }
        Some(HealthAction::Enable | HealthAction::Unknown(_)) | None => html! {},
    }
}

/// Renders the connected clients, each with the totals of its sessions.
fn clients(home: &Home) -> Markup {
    let mut seen: BTreeMap<(&str, &str), (&str, u64)> = BTreeMap::new();
    for session in &home.sessions {
        let client = (session.client_name.as_str(), session.protocol_version.as_str());
        let entry = seen.entry(client).or_insert((&session.last_activity, 0));
        entry.0 = entry.0.max(&session.last_activity);
        entry.1 += session.tool_call_count;
    }
    html! {
        @if seen.is_empty() {
            p.quiet { "No AI client has used MCPProxy in the last 30 minutes." }
            p { a.button href="/ui/clients" { "Connect a client" } }
        } @else {
            ul.plain {
                @for ((name, version), (last, calls)) in seen {
                    li.between { span { strong { (foreign(name)) } @if !version.is_empty() { span.quiet { " MCP " (foreign(version)) } } } span.quiet { (number(usize::try_from(calls).unwrap_or(usize::MAX), "call", "calls")) ", last seen " (time(last)) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::SavingsPeriod;

    #[test]
    fn someone_new_is_shown_what_to_do_next() {
        let text = view(&Frame::default(), &Home::default()).into_string();
        assert!(text.contains("Get started") && text.contains("Add or import"), "{text}");
    }

    #[test]
    fn the_numbers_of_today_and_the_connected_clients_are_shown() {
        let home = Home {
            servers: vec![Server::default()],
            sessions: vec![McpSession {
                client_name: "cursor".into(),
                protocol_version: "2025-06-18".into(),
                ..McpSession::default()
            }],
            savings: TokenSavings {
                today: SavingsPeriod {
                    calls: 12,
                    saved_tokens: -1_200,
                },
                this_month: SavingsPeriod {
                    calls: 1_234,
                    saved_tokens: 56_789,
                },
                days: Vec::new(),
            },
            ..Home::default()
        };
        let text = view(&Frame::default(), &home).into_string();
        for part in [
            ">12<small> this month 1,234<",
            ">−1,200<small> this month 56,789<",
            "cursor",
            "MCP 2025-06-18",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_server_that_works_needs_no_attention() {
        let server = |status: &str| Server {
            name: "a".into(),
            enabled: true,
            status: status.into(),
            ..Server::default()
        };
        assert!(!needs_attention(&server("connected")));
        assert!(needs_attention(&server("error")) && needs_attention(&server("quarantined")));
        let disabled = Server {
            enabled: false,
            ..server("disabled")
        };
        assert!(!needs_attention(&disabled));
    }
}
