//! The page *Review*: everything that matters before approving a server or a tool. Only the shown version is approved.

use maud::{Markup, html};
use serde_json::Value;

use crate::contract::api::{QuarantineCounts, Server};
use crate::contract::review::{Confirmation, Review, ReviewChange, ReviewTool, ReviewValue, ReviewWarning};
use crate::contract::review_keys::key_lines;
use crate::contract::review_text::{Subject, confirmations};
use crate::contract::words::{ApprovalStatus, IsolationOutcome, VariableSource};
use crate::server::page::layout::{
    Frame, badge, button_for, empty, encoded, foreign, heading, number, page, pager, state_of, time, token,
};
use crate::server::rest::views;
use crate::upstream::snapshot::Snapshot;

/// Whether a server or its tools need a decision.
pub(super) fn needs_review(server: &Server) -> bool {
    server.quarantined || server.quarantine.is_some_and(|counts| waiting_tools(counts) > 0)
}

/// Like [`needs_review`], for a server that is not in the format of REST.
pub(super) fn waits_for_decision(server: &Snapshot) -> bool {
    server.config.quarantined || views::quarantine(server).is_some_and(|counts| waiting_tools(counts) > 0)
}

fn waiting_tools(counts: QuarantineCounts) -> u32 {
    counts.pending_count + counts.changed_count + counts.blocked_count
}

/// Servers per page.
const PAGE: usize = 40;

pub(super) fn list(frame: &Frame, servers: &[Server], offset: usize) -> Markup {
    let waiting: Vec<&Server> = servers.iter().filter(|server| needs_review(server)).collect();
    let contents = html! {
        (heading("Review", "Servers and tools run only after you have seen and approved them.", &html! {}))
        @if waiting.is_empty() {
            (empty("Nothing to review", "New servers, and tools that are new or have changed, appear here.", &html! { a.button href="/ui/servers" { "Servers" } }))
        } @else {
            ul.cards { @for server in waiting.iter().skip(offset).take(PAGE) {
                @let (kind, word) = state_of(server);
                li.card {
                    div.between { strong.name { (foreign(&server.name)) } (badge(kind, word)) }
                    p { (reason(server)) }
                    div.actions { a.button.primary href={"/ui/review/" (encoded(&server.name))} { "Review" span.hidden { " " (server.name) } } }
                }
            } }
            (pager(offset, PAGE, waiting.len(), ["Previous", "Next"], &|offset| format!("/ui/review?offset={offset}")))
        }
    };
    page(frame, "/ui/review", "Review", &contents)
}

fn reason(server: &Server) -> String {
    if server.quarantined {
        return "A new server. It does not run yet.".to_owned();
    }
    let counts = server.quarantine.unwrap_or_default();
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let new = number(count(counts.pending_count), "new tool", "new tools");
    let changed = number(count(counts.changed_count), "changed tool", "changed tools");
    match (counts.pending_count, counts.changed_count) {
        (_, 0) => format!("{new}."),
        (0, _) => format!("{changed}."),
        _ => format!("{new}, {changed}."),
    }
}

/// A review, and the changes since the user saw it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub review: Review,
    pub changes: Vec<ReviewChange>,
    /// The changes because of which an approval was refused.
    pub is_conflict: bool,
    /// Why an approval was refused.
    pub reason: String,
}

pub(super) fn details(frame: &Frame, shown: &Shown) -> Markup {
    let review = &shown.review;
    let waiting: Vec<&ReviewTool> =
        review.tools.iter().filter(|tool| tool.approval != ApprovalStatus::Approved).collect();
    let lead = if review.needs_approval {
        "Nothing of this server has run yet."
    } else {
        "The server is approved."
    };
    let contents = html! {
        p.crumbs { a href="/ui/review" { "Review" } }
        (heading(&foreign(&review.name), lead, &html! {}))
        @if shown.is_conflict { (conflict(shown)) }
        (what_runs(review))
        @if review.needs_approval { (approve_server(frame, review)) }
        @if review.needs_approval { (inspected(frame, review)) }
        @else if !waiting.is_empty() { (tools(frame, shown, &waiting)) }
        @else { (approved(review)) }
        (offers(frame, review))
    };
    page(frame, "/ui/review", &review.name, &contents)
}

/// Renders the state of a server that needs no approval.
fn approved(review: &Review) -> Markup {
    let link = html! { a href={"/ui/servers/" (encoded(&review.name))} { "Go to the server" } };
    html! {
        @if review.connected && review.offers.iter().all(|offer| offer.approval == ApprovalStatus::Approved) {
            div.notice.good role="status" { "Everything on this server is approved. " (link) }
        } @else if !review.connected && review.enabled {
            div.notice.warn role="status" { "The server is not connected yet. Its tools appear here for your review. " (link) }
        }
    }
}

fn conflict(shown: &Shown) -> Markup {
    html! {
        div.notice.bad role="alert" {
            strong { "Nothing was approved" }
            p { (foreign(&shown.reason)) }
            @if !shown.changes.is_empty() { (differences(&shown.changes)) }
        }
    }
}

fn value(value: &Value) -> String {
    foreign(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn what_runs(review: &Review) -> Markup {
    html! {
        section.panel aria-labelledby="runs" {
            h2 #runs { @if review.url.is_some() { "Where your data goes" } @else { "What runs on this computer" } }
            @if let Some(url) = &review.url { p { code.large { (foreign(url)) } } }
            @if let Some(command) = &review.command {
                pre.command tabindex="0" aria-label="Command" {
                    (foreign(command)) @for arg in &review.args { "\n  " (foreign(arg)) }
                }
            }
            dl.facts {
                @if let Some(directory) = &review.working_dir { dt { "Working directory" } dd { code { (foreign(directory)) } } }
                @if let Some(isolation) = &review.isolation { dt { "Isolation" } dd { (foreign(&isolation.summary)) @if let Some(note) = &isolation.note { p.quiet { (foreign(note)) } } }
                    @if isolation.effective != IsolationOutcome::Remote { dt { "Network" } dd { (isolation.network.word()) } }
                }
                (pairs("Environment", &review.env))
                (pairs("Headers", &review.headers))
                @for (label, text) in key_lines(review) { dt { (foreign(&label)) } dd { code { (foreign(&text)) } } }
                @if let Some(by) = &review.added_by { dt { "Added by" } dd { (foreign(by)) } }
                @if let Some(by) = &review.changed_by { dt { "Changed by" } dd { (foreign(by)) } }
                @if let Some(at) = &review.created { dt { "Added" } dd { (time(at)) } }
            }
            (variables(review))
            @if !review.changes.is_empty() { h3 { "Changed since the last approval" } (differences(&review.changes)) }
        }
    }
}

/// Renders the variables of the session that the server receives besides those of its entry.
fn variables(review: &Review) -> Markup {
    let received: Vec<&str> = review
        .variables
        .iter()
        .filter(|one| one.source != VariableSource::Entry)
        .map(|one| one.name.as_str())
        .collect();
    html! {
        @if !received.is_empty() {
            details { summary { "Variables from your environment that it receives (" (received.len()) ")" } p { code { (foreign(&received.join(", "))) } } }
        }
    }
}

fn differences(changes: &[ReviewChange]) -> Markup {
    html! {
        dl.diff { @for change in changes {
            dt { (foreign(&change.field)) }
            dd { @if let Some(before) = &change.before { del { (value(before)) } } @if let Some(after) = &change.after { ins { (value(after)) } } }
        } }
    }
}

fn pairs(title: &str, values: &[ReviewValue]) -> Markup {
    html! {
        @if !values.is_empty() {
            dt { (title) }
            dd { ul.plain { @for one in values { li { code { (foreign(&one.name)) "=" (foreign(&one.value)) } } } } }
        }
    }
}

fn approve_server(frame: &Frame, review: &Review) -> Markup {
    let dangers = confirmations(review, &Subject::Server);
    let others: Vec<&ReviewWarning> = review.warnings.iter().filter(|warning| !warning.confirm).collect();
    html! {
        form.panel.decide method="post" action={"/ui/review/" (encoded(&review.name)) "/approve"} {
            (token(frame))
            input type="hidden" name="fingerprint" value=(review.fingerprint);
            @if review.inspected { @for tool in &review.tools { input type="hidden" name={"tool." (tool.name)} value=(tool.fingerprint); } }
            @if dangers.is_empty() && others.is_empty() {
                p { "Approve only what you know. A server on this computer can do what you can do, unless it is isolated." }
            } @else {
                h2 { "Check before you approve" }
                ul.warnings {
                    @for danger in &dangers { (confirm(danger)) }
                    @for warning in others { li { code { (foreign(&warning.field)) } " " q { (foreign(&warning.quote)) } ": " (foreign(&warning.reason)) } }
                }
            }
            div.actions {
                button.primary type="submit" { "Approve and start" }
                a.button href="/ui/review" { "Not now" }
            }
        }
        div.actions { (button_for(frame, &format!("/ui/servers/{}/remove", encoded(&review.name)), "Remove server", "danger", "", &format!("Remove the server “{}”?", review.name))) }
    }
}

/// Renders a danger with its check box.
fn confirm(danger: &Confirmation) -> Markup {
    html! { li.bad { label { input type="checkbox" name="confirmed" value=(danger.key) required; span { (foreign(&danger.text)) } } } }
}

/// Renders the tools of a server that was inspected before its approval, or the offer to inspect it.
fn inspected(frame: &Frame, review: &Review) -> Markup {
    html! {
        @if review.inspected {
            section aria-labelledby="tools" {
                h2 #tools { (number(review.tools.len(), "tool", "tools")) }
                p.quiet { "They are approved together with the server. The text comes from the server and is not verified." }
                ul.stack { @for tool in &review.tools { li.panel.tool {
                    strong { (foreign(&tool.name)) }
                    @if !tool.findings.is_empty() { ul.warnings { @for finding in tool.findings.iter() { li.bad { (foreign(&finding.reason)) " " q { (foreign(&finding.quote)) } } } } }
                    (description(tool))
                    details { summary { "Full definition" } pre.code tabindex="0" { (foreign(&serde_json::to_string_pretty(&tool.definition).unwrap_or_default())) } }
                } } }
            }
        } @else if review.command.is_some() {
            section.panel.between {
                p { "MCPProxy can start the server once to list its tools before you decide." @if let Some(given) = &review.inspection { " " (foreign(given)) } }
                (button_for(frame, &format!("/ui/servers/{}/inspect", encoded(&review.name)), "List its tools", "", &review.name, ""))
            }
        }
    }
}

/// Maximum size of the tools on one page, in bytes of their definitions. Texts that need approval are never shortened.
const LONGEST_TOOLS: usize = 30_000;

/// Returns the first tools that fit on one page, at least one.
fn fitting<'a, 'b>(tools: &'a [&'b ReviewTool]) -> &'a [&'b ReviewTool] {
    let mut bytes = 0;
    let fits = tools.iter().take_while(|tool| {
        let is_first = bytes == 0;
        // The description is shown twice: by itself and in the full definition.
        bytes += 2 * tool.definition.to_string().len() + 600;
        is_first || bytes <= LONGEST_TOOLS
    });
    let count = fits.count();
    tools.get(..count).unwrap_or(tools)
}

fn tools(frame: &Frame, shown: &Shown, all: &[&ReviewTool]) -> Markup {
    let review = &shown.review;
    let waiting = fitting(all);
    html! {
        form method="post" action={"/ui/review/" (encoded(&review.name)) "/tools"} {
            (token(frame))
            div.between {
                h2 #tools { (number(all.len(), "tool needs approval", "tools need approval")) }
                button.primary type="submit" { "Approve selected" }
            }
            p.quiet {
                "The text below comes from the server and is not verified."
                @if waiting.len() < all.len() { " These are the first " (waiting.len()) "; the others follow when you have decided about these." }
            }
            ul.stack { @for (index, tool) in waiting.iter().enumerate() {
                @let findings = &tool.findings;
                li.panel.tool {
                    div.between {
                        label.check {
                            input type="checkbox" name={"tool." (tool.name)} value=(tool.fingerprint) checked[findings.is_empty()] id={"tool" (index)};
                            strong { (foreign(&tool.name)) }
                        }
                        @if tool.approval == ApprovalStatus::Changed { (badge("warn", "Changed")) } @else { (badge("busy", "New")) }
                    }
                    @if !findings.is_empty() {
                        ul.warnings { @for finding in findings.iter() { li.bad { (foreign(&finding.reason)) " " q { (foreign(&finding.quote)) } } } }
                    }
                    (description(tool))
                    @if !tool.changes.is_empty() { p.quiet { "Changed since your approval: " (foreign(&tool.changes.join(", "))) } }
                    details { summary { "Full definition" } pre.code tabindex="0" { (foreign(&serde_json::to_string_pretty(&tool.definition).unwrap_or_default())) } }
                }
            } }
        }
    }
}

fn description(tool: &ReviewTool) -> Markup {
    let now = tool.definition.get("description").and_then(Value::as_str).unwrap_or_default();
    let before = tool.previous_description.as_deref().filter(|before| *before != now);
    html! {
        @match before {
            Some(before) => dl.diff { dt { "Description" } dd { del { (foreign(before)) } ins { (foreign(now)) } } },
            None => p.foreign { (foreign(now)) },
        }
    }
}

fn offers(frame: &Frame, review: &Review) -> Markup {
    let waiting: Vec<_> = review.offers.iter().filter(|offer| offer.approval != ApprovalStatus::Approved).collect();
    html! {
        @if !waiting.is_empty() {
            form.panel method="post" action={"/ui/review/" (encoded(&review.name)) "/tools"} {
                (token(frame))
                h2 { "Prompts and resources" }
                ul.plain { @for offer in waiting {
                    li { label.check { input type="checkbox" name={"tool." (offer.key)} value=(offer.fingerprint) checked; span { (foreign(&offer.key)) } }
                        details { summary { "Full definition" } pre.code tabindex="0" { (foreign(&serde_json::to_string_pretty(&offer.definition).unwrap_or_default())) } } }
                } }
                button.primary type="submit" { "Approve selected" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn review() -> Review {
        Review {
            name: "s".into(),
            fingerprint: "f1".into(),
            needs_approval: true,
            command: Some("npx".into()),
            args: vec!["-y".into(), "x".repeat(5000)],
            env: vec![ReviewValue {
                name: "TOKEN".into(),
                value: "••••".into(),
                references: Vec::new(),
            }],
            warnings: vec![ReviewWarning {
                confirm: true,
                reason: "second look".into(),
                ..ReviewWarning::default()
            }],
            ..Review::default()
        }
    }

    #[test]
    fn all_that_decides_is_shown_in_full_and_the_form_carries_its_fingerprint() {
        let shown = Shown {
            review: review(),
            ..Shown::default()
        };
        let text = details(&Frame::default(), &shown).into_string();
        assert!(text.contains(&"x".repeat(5000)), "no argument is cut");
        assert!(text.contains("TOKEN=••••") && text.contains("value=\"f1\"") && text.contains("required"), "{text}");
    }

    #[test]
    fn a_conflict_says_what_is_different() {
        let changes = vec![ReviewChange {
            field: "command".into(),
            before: Some(json!("true")),
            after: Some(json!("rm")),
        }];
        let shown = Shown {
            review: review(),
            changes,
            is_conflict: true,
            ..Shown::default()
        };
        let text = details(&Frame::default(), &shown).into_string();
        assert!(
            text.contains("Nothing was approved") && text.contains("<del>true</del>") && text.contains("<ins>rm</ins>")
        );
    }

    #[test]
    fn a_suspicious_tool_is_not_selected() {
        let mut shown = Shown {
            review: Review {
                needs_approval: false,
                ..review()
            },
            ..Shown::default()
        };
        shown.review.tools = vec![ReviewTool {
            name: "t".into(),
            approval: "pending".into(),
            fingerprint: "f".into(),
            ..ReviewTool::default()
        }];
        assert!(details(&Frame::default(), &shown).into_string().contains(" checked"));
        let found =
            json!([{"rule": "r", "severity": "danger", "location": "description", "quote": "q", "reason": "why"}]);
        shown.review.tools[0].findings = serde_json::from_value(found).unwrap();
        let text = details(&Frame::default(), &shown).into_string();
        assert!(!text.contains(" checked") && text.contains("why"), "{text}");
    }
}
