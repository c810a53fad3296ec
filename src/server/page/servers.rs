//! The page *Servers*: the list, and one server with its tools, its log and its entry.

use maud::{Markup, html};

use crate::contract::api::{ActivityRecord, Diagnostic, FixStep, FixStepKind, Server, ServerTool};
use crate::contract::review::Review;
use crate::contract::words::ApprovalStatus;
use crate::server::page::activity::row;
use crate::server::page::form::Fields;
use crate::server::page::home::{fix, suggests_restart};
use crate::server::page::layout::{
    Frame, SUMMARY, badge, button_for, empty, encoded, foreign, heading, message, page, pager, start_of, state_of,
    token,
};
use crate::server::page::server_log::{self, ServerLog};
use crate::server::page::shown_values;

/// Servers per page.
const PAGE: usize = 25;
/// Maximum number of tools on the page of a server.
const MOST_TOOLS: usize = 40;

/// The servers selected by the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub text: String,
    /// The colour of [`state_of`]; empty for all.
    pub state: String,
    pub offset: usize,
}

/// The states that can be selected, with their names.
const STATES: [(&str, &str); 6] = [
    ("", "Any state"),
    ("good", "Connected"),
    ("warn", "Needs attention"),
    ("bad", "Failed"),
    ("busy", "Starting"),
    ("off", "Disabled"),
];

impl Chosen {
    pub(super) fn of(query: &Fields) -> Chosen {
        Chosen {
            text: query.text("q").to_owned(),
            state: query.text("state").to_owned(),
            offset: query.text("offset").parse().unwrap_or_default(),
        }
    }

    fn matches(&self, server: &Server) -> bool {
        let text = self.text.trim().to_lowercase();
        (self.state.is_empty() || state_of(server).0 == self.state)
            && (text.is_empty()
                || server.name.to_lowercase().contains(&text)
                || runs(server).to_lowercase().contains(&text))
    }

    fn link(&self, offset: usize) -> String {
        format!("/ui/servers?q={}&state={}&offset={offset}", encoded(&self.text), encoded(&self.state))
    }
}

pub(super) fn list(frame: &Frame, servers: &[Server], chosen: &Chosen) -> Markup {
    let connected = servers.iter().filter(|server| server.connected).count();
    let lead = match servers.len() {
        0 => String::new(),
        all => format!("{connected} of {all} connected"),
    };
    let found: Vec<&Server> = servers.iter().filter(|server| chosen.matches(server)).collect();
    let add = html! { a.button href="/ui/find" { "Find a server" } a.button href="/ui/add#import" { "Import" } a.button.primary href="/ui/add" { "Add server" } };
    let none = html! {};
    let contents = html! {
        (heading("Servers", &lead, if servers.is_empty() { &none } else { &add }))
        @if servers.is_empty() {
            (empty("No servers yet", "A server gives your AI clients tools: files, issues, a database, a browser. Import the servers that your clients already use, or add one.", &add))
        } @else {
            @if servers.len() > 8 { (search(chosen)) }
            @if found.is_empty() { (empty("No server matches", "Change the search to see more.", &html! { a.button href="/ui/servers" { "Show all servers" } })) }
            @else { div.table { table {
                thead { tr { th { "Server" } th { "State" } th.wide { "Runs" } th.right { "Tools" } th { span.hidden { "Actions" } } } }
                tbody { @for server in found.iter().skip(chosen.offset).take(PAGE) { (server_row(frame, server)) } }
            } } }
            (pager(chosen.offset, PAGE, found.len(), ["Previous", "Next"], &|offset| chosen.link(offset)))
        }
    };
    page(frame, "/ui/servers", "Servers", &contents)
}

fn search(chosen: &Chosen) -> Markup {
    html! {
        form.search.filters method="get" action="/ui/servers" role="search" {
            label { span.hidden { "Search servers" } input type="search" name="q" value=(chosen.text) placeholder="Name, command or URL" data-shortcut="/"; }
            label { span.hidden { "State" } select name="state" data-submit {
                @for (state, name) in STATES { option value=(state) selected[state == chosen.state] { (name) } }
            } }
            button type="submit" { "Search" }
        }
    }
}

fn server_row(frame: &Frame, server: &Server) -> Markup {
    let (kind, word) = state_of(server);
    let error = server.last_error.as_deref().filter(|_| server.enabled && !server.connected);
    html! {
        tr {
            td.name {
                a href={"/ui/servers/" (encoded(&server.name))} { (foreign(&server.name)) }
                @if let Some(error) = error { p.quiet.clamp { (message(&start_of(error, SUMMARY))) } }
            }
            td { (badge(kind, word)) }
            td.wide { code.clip { (start_of(&runs(server), SUMMARY)) } }
            td.right { @if server.connected { (server.tool_count) span.unit { @if server.tool_count == 1 { " tool" } @else { " tools" } } } @else { span.quiet.none { "–" } } }
            td.right { div.actions { (fix(frame, server)) @if server.enabled { (switch(frame, server)) } } }
        }
    }
}

/// Returns the command line of a server, or its URL.
fn runs(server: &Server) -> String {
    let command = server.command.as_deref().map(|command| {
        std::iter::once(command).chain(server.args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    });
    foreign(&server.url.clone().or(command).unwrap_or_default())
}

fn switch(frame: &Frame, server: &Server) -> Markup {
    let (action, label) = if server.enabled { ("disable", "Disable") } else { ("enable", "Enable") };
    let path = format!("/ui/servers/{}/{action}", encoded(&server.name));
    button_for(frame, &path, label, "", &server.name, "")
}

/// Renders everything about one server.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub server: Server,
    pub review: Review,
    pub tools: Vec<ServerTool>,
    pub log: ServerLog,
    pub calls: Vec<ActivityRecord>,
}

pub(super) fn details(frame: &Frame, details: &Details) -> Markup {
    let server = &details.server;
    let (kind, word) = state_of(server);
    let base = format!("/ui/servers/{}", encoded(&server.name));
    let action = |name: &str, label: &str| button_for(frame, &format!("{base}/{name}"), label, "", &server.name, "");
    let actions = html! {
        (fix(frame, server))
        @if server.enabled && !server.quarantined && !suggests_restart(server) { (action("restart", "Restart")) }
        @if server.authenticated { (action("logout", "Sign out")) }
        @if server.enabled { (switch(frame, server)) }
    };
    let contents = html! {
        p.crumbs { a href="/ui/servers" { "Servers" } }
        (heading(&foreign(&server.name), "", &actions))
        p.state { (badge(kind, word)) @if let (None, Some(summary)) = (&server.diagnostic, summary(server)) { " " (message(summary)) } }
        (problem(frame, &base, server))
        section aria-labelledby="tools" {
            h2 #tools { "Tools" @if !details.tools.is_empty() { " (" (details.tools.len()) ")" } }
            (tools(frame, &base, details))
        }
        @if !details.calls.is_empty() {
            section aria-labelledby="calls" {
                div.between { h2 #calls { "Latest calls" } a href={"/ui/activity?server=" (encoded(&server.name))} { "All calls of this server" } }
                div.table { table {
                    thead { tr { th { "Time" } th { "Call" } th { "Client" } th { "Result" } th.right { "Duration" } } }
                    tbody { @for record in &details.calls { (row(record)) } }
                } }
            }
        }
        section aria-labelledby="log" {
            div.between { h2 #log { "Log" } a href={(base) "/log"} { "The whole log" } }
            (server_log::view(&server.name, &details.log))
        }
        (entry(frame, &base, details))
    };
    page(frame, "/ui/servers", &server.name, &contents)
}

/// Renders the problem of a server, and its fixes.
fn problem(frame: &Frame, base: &str, server: &Server) -> Markup {
    let error = server.last_error.as_deref().filter(|_| server.enabled && !server.connected);
    html! {
        @match (&server.diagnostic, error) {
            (Some(found), _) => (diagnosis(frame, base, found)),
            (None, Some(error)) => {
                div.notice.bad role="status" {
                    strong { "Why it does not work" } p { (message(error)) }
                    @if let Some(detail) = server.health.as_ref().and_then(|health| health.detail.as_deref()) { p { (message(detail)) } }
                }
            }
            (None, None) => {}
        }
    }
}

fn diagnosis(frame: &Frame, base: &str, found: &Diagnostic) -> Markup {
    html! {
        section.panel.problem aria-labelledby="problem" {
            div.between { h2 #problem { (message(&found.user_message)) } code.quiet { (found.code) } }
            @if let Some(cause) = &found.cause { p { (message(cause)) } }
            @if let Some(help) = &found.remediation { p { strong { "What to do: " } (message(help)) } }
            @if !found.why.is_empty() { details { summary { "Why" } p.quiet { (message(&found.why)) } } }
            @let (buttons, advice): (Vec<&FixStep>, Vec<&FixStep>) = found.fix_steps.iter().partition(|step| step.kind == FixStepKind::Button);
            @if !advice.is_empty() { ul.advice { @for step in advice { li { (fix_step(frame, base, found, step)) } } } }
            div.actions { @for step in buttons { (fix_step(frame, base, found, step)) } }
        }
    }
}

fn fix_step(frame: &Frame, base: &str, found: &Diagnostic, step: &FixStep) -> Markup {
    html! {
        @match (step.kind, &step.fixer_key, &step.command) {
            (FixStepKind::Button, Some(fixer), _) => {
                form.inline method="post" action={(base) "/fix"} data-confirm=[(step.destructive == Some(true)).then(|| format!("{}?", step.label))] {
                    (token(frame))
                    input type="hidden" name="code" value=(found.code);
                    input type="hidden" name="fixer" value=(fixer);
                    button type="submit" { (step.label) }
                }
            }
            (FixStepKind::Command, _, Some(command)) => { span.step { (step.label) ": " code { (foreign(command)) } } }
            _ => { span.step { (step.label) } }
        }
    }
}

/// Returns what the summary says besides the state.
fn summary(server: &Server) -> Option<&str> {
    let summary = server.health.as_ref()?.summary.as_str();
    match summary.strip_prefix(state_of(server).1) {
        None => Some(summary),
        Some(rest) => rest.strip_prefix(": "),
    }
}

fn tools(frame: &Frame, base: &str, details: &Details) -> Markup {
    if details.tools.is_empty() {
        let text = if details.server.connected {
            "The server offers no tools."
        } else {
            "Its tools are known once it is connected."
        };
        return html! { p.quiet { (text) } };
    }
    html! {
        div.table { table {
            thead { tr { th { "Tool" } th { "State" } th { span.hidden { "Actions" } } } }
            tbody { @for tool in details.tools.iter().take(MOST_TOOLS) {
                @let path = format!("{base}/tools/{}", encoded(&tool.name));
                @let (kind, word) = tool_state(tool);
                tr {
                    td.name {
                        a href={"/ui/tools/" (encoded(&tool.server_name)) "/" (encoded(&tool.name))} { (foreign(&tool.name)) }
                        p.quiet.clamp { (foreign(&start_of(&tool.description, SUMMARY))) }
                    }
                    td { (badge(kind, word)) }
                    td.right { div.actions {
                        @if tool.approval_status != ApprovalStatus::Approved {
                            a.button.primary href={"/ui/review/" (encoded(&tool.server_name))} { "Review" span.hidden { " " (tool.name) } }
                        }
                        @if tool.disabled { (button_for(frame, &format!("{path}/enable"), "Enable", "", &tool.name, "")) }
                        @else { (button_for(frame, &format!("{path}/disable"), "Disable", "", &tool.name, "")) }
                    } }
                }
            } }
        } }
        @if details.tools.len() > MOST_TOOLS {
            p.more { a href={"/ui/tools?server=" (encoded(&details.server.name))} { "All " (details.tools.len()) " tools" } }
        }
    }
}

/// Returns a tool's state in words, and its colour.
pub(super) fn tool_state(tool: &ServerTool) -> (&'static str, &'static str) {
    match (tool.disabled, &tool.approval_status) {
        (true, _) => ("off", "Disabled"),
        (_, ApprovalStatus::Approved) => ("good", "Available"),
        (_, ApprovalStatus::Changed) => ("warn", "Changed"),
        (_, ApprovalStatus::Pending | ApprovalStatus::Unknown(_)) => ("warn", "Needs approval"),
    }
}

/// Returns the values that the form of a server's entry shows, by their keys.
pub(super) fn shown_entry(review: &Review) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        ("url", text(&review.url)),
        ("command", text(&review.command)),
        ("args", review.args.join("\n")),
        ("working_dir", text(&review.working_dir)),
    ]
}

/// Renders the server's entry, with forms that change it.
fn entry(frame: &Frame, base: &str, details: &Details) -> Markup {
    let review = &details.review;
    html! {
        section.panel aria-labelledby="edit" {
            div.between { h2 #edit { "Configuration" } a.button href={(base) "/options"} { "All options" } }
            @if let Some(isolation) = &review.isolation { p.quiet { "Isolation: " (foreign(&isolation.summary)) } }
            form.fields method="post" action={(base) "/edit"} {
                (token(frame))
                (shown_values::field(shown_entry(review)))
                @if let Some(url) = &review.url {
                    label { span { "URL" } input name="url" value=(url) required type="url"; }
                } @else {
                    label { span { "Program" } input name="command" value=(review.command.as_deref().unwrap_or_default()) required; }
                    label { span { "Arguments" small { "one per line" } } textarea.grow name="args" rows=(review.args.len().clamp(2, 8)) { (review.args.join("\n")) } }
                    label { span { "Working directory" } input name="working_dir" value=(review.working_dir.as_deref().unwrap_or_default()); }
                }
                button.primary type="submit" { "Save" }
            }
            (values(frame, base, details))
            div.between.danger {
                p.quiet { "Removing the server deletes its entry from the configuration." }
                (button_for(frame, &format!("{base}/remove"), "Remove server", "danger", "", &format!("Remove the server “{}”?", review.name)))
            }
        }
    }
}

fn values(frame: &Frame, base: &str, details: &Details) -> Markup {
    let (kind, title, values) = match &details.review.url {
        Some(_) => ("headers", "Headers", &details.review.headers),
        None => ("env", "Environment variables", &details.review.env),
    };
    html! {
        h3 { (title) }
        @if !values.is_empty() {
            ul.plain { @for value in values {
                li.between {
                    code { (foreign(&value.name)) "=" (foreign(&value.value)) }
                    form.inline method="post" action={(base) "/edit"} {
                        (token(frame))
                        input type="hidden" name={"unset." (kind)} value=(value.name);
                        button.link type="submit" { "Remove" span.hidden { " " (value.name) } }
                    }
                }
            } }
        }
        form.fields.line method="post" action={(base) "/edit"} {
            (token(frame))
            input type="hidden" name="set" value=(kind);
            label { span { "Name" } input name="name" required autocomplete="off"; }
            label { span { "Value" } input name="value" autocomplete="off"; }
            button type="submit" { "Add or replace" }
        }
        p.quiet { "Do not write passwords and keys here: store one with " code { "mcpproxy secrets set NAME" } ", and enter " code { "${keyring:NAME}" } " as the value." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::Health;

    #[test]
    fn a_broken_server_shows_why_and_a_way_on() {
        let server = Server {
            name: "a <b>".into(),
            enabled: true,
            status: "error".into(),
            last_error: Some("could not start `npxx`: not found in PATH".into()),
            ..Server::default()
        };
        let shown = details(
            &Frame::default(),
            &Details {
                server: server.clone(),
                ..Details::default()
            },
        )
        .into_string();
        assert!(shown.contains("not found in PATH") && shown.contains("Restart"), "{shown}");
        let listed = list(&Frame::default(), &[server], &Chosen::default()).into_string();
        assert!(listed.contains("a &lt;b&gt;") && listed.contains("/ui/servers/a%20%3Cb%3E/disable"), "{listed}");
    }

    #[test]
    fn a_summary_does_not_repeat_the_state() {
        for (status, told, expected) in [
            ("connected", "Connected (5 tools)", None),
            ("connecting", "Starting", None),
            ("connecting", "Starting: exited with 1", Some("exited with 1")),
            ("error", "no reply within 60 s", Some("no reply within 60 s")),
        ] {
            let health = Health {
                summary: told.into(),
                ..Health::default()
            };
            let server = Server {
                status: status.into(),
                health: Some(health),
                ..Server::default()
            };
            assert_eq!(summary(&server), expected, "{told}");
        }
    }

    #[test]
    fn without_servers_the_list_says_how_to_get_some() {
        assert!(list(&Frame::default(), &[], &Chosen::default()).into_string().contains("No servers yet"));
    }

    #[test]
    fn a_thousand_servers_are_searched_and_shown_in_pages() {
        let server = |number: usize| Server {
            name: format!("server-{number:04}"),
            enabled: true,
            status: if number.is_multiple_of(2) { "connected" } else { "error" }.into(),
            command: Some("npx".into()),
            ..Server::default()
        };
        let servers: Vec<Server> = (0..1000).map(server).collect();
        let shown = |query: &str| list(&Frame::default(), &servers, &Chosen::of(&Fields::parse(query))).into_string();
        let first = shown("");
        assert!(
            first.len() < 60_000 && first.contains("1–25 of 1000") && first.contains("server-0024"),
            "{}",
            first.len()
        );
        assert!(shown("offset=25").contains("server-0025") && !shown("offset=25").contains("server-0024"));
        let one = shown("q=0123");
        assert!(one.contains("server-0123") && !one.contains("aria-label=\"Pages\""));
        assert!(shown("state=bad").contains("of 500"));
        assert!(shown("q=nothing").contains("No server matches"));
    }
}
