//! The page *Review*: everything that matters before approving a server or a tool. Only the shown version is approved.

use maud::{Markup, html};
use serde_json::Value;

use crate::contract::api::{QuarantineCounts, Server};
use crate::contract::review::{
    Confirmation, Review, ReviewChange, ReviewOffer, ReviewTool, ReviewValue, ReviewWarning,
};
use crate::contract::review_keys::key_lines;
use crate::contract::review_text::{Subject, confirmations};
use crate::contract::scan::Finding;
use crate::contract::words::{ApprovalStatus, IsolationOutcome, VariableSource};
use crate::server::page::layout::{
    Frame, Part, badge, button_for, empty, encoded, foreign, heading, message, number, page, pager, pager_of, state_of,
    time, token,
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
    /// The page that contains the pending tool or offer with this index is shown.
    pub offset: usize,
}

pub(super) fn details(frame: &Frame, shown: &Shown) -> Markup {
    let review = &shown.review;
    let pending = Pending::of(review, shown.offset);
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
        @if review.needs_approval { (inspected(frame, review, &pending)) (approve_server(frame, review, &pending)) }
        @else if pending.part.total > 0 { (approve_pending(frame, review, &pending)) }
        @else { (approved(review)) }
    };
    page(frame, "/ui/review", &review.name, &contents)
}

/// Maximum size of the tools and offers on one page, in bytes of HTML. Texts that need approval are never shortened.
const LONGEST: usize = 45_000;

/// The tools and offers of one page. Only these can be approved on it.
struct Pending<'a> {
    tools: Vec<&'a ReviewTool>,
    /// Prompts and resource templates.
    offers: Vec<&'a ReviewOffer>,
    /// The place of the page in the list of all tools, followed by all offers.
    part: Part,
    /// Number of tools on all pages.
    all_tools: usize,
}

impl<'a> Pending<'a> {
    fn of(review: &'a Review, offset: usize) -> Pending<'a> {
        let is_pending = |approval: &ApprovalStatus| *approval != ApprovalStatus::Approved;
        let is_listed = |tool: &&ReviewTool| review.needs_approval || is_pending(&tool.approval);
        // Offers cannot be approved before the server runs. A page of them would approve all tools of an inspected server.
        let is_offered = |offer: &&ReviewOffer| !review.needs_approval && is_pending(&offer.approval);
        let tools: Vec<&ReviewTool> = review.tools.iter().filter(is_listed).collect();
        let offers: Vec<&ReviewOffer> = review.offers.iter().filter(is_offered).collect();
        let sizes = tools.iter().map(|tool| size_of_tool(tool));
        let sizes = sizes.chain(offers.iter().map(|offer| size_of_definition(&offer.definition)));
        let part = Part::by_size(sizes, LONGEST, offset);
        let all_tools = tools.len();
        let is_shown = |index: usize| (part.start..part.end).contains(&index);
        Pending {
            tools: enumerated(tools, 0, is_shown),
            offers: enumerated(offers, all_tools, is_shown),
            part,
            all_tools,
        }
    }

    fn pager(&self, review: &Review) -> Markup {
        pager_of(self.part, ["Previous", "Next"], &|offset| {
            format!("/ui/review/{}?offset={offset}#tools", encoded(&review.name))
        })
    }
}

/// Returns the entries that are shown. `first` is the index of the first entry.
fn enumerated<T>(entries: Vec<T>, first: usize, is_shown: impl Fn(usize) -> bool) -> Vec<T> {
    let numbered = entries.into_iter().enumerate();
    numbered.filter(|(index, _)| is_shown(first + index)).map(|(_, entry)| entry).collect()
}

fn size_of_tool(tool: &ReviewTool) -> usize {
    let findings = tool.findings.iter().map(|finding| finding.quote.len() + finding.reason.len() + 60);
    let description = tool.definition.get("description").and_then(Value::as_str).unwrap_or_default();
    let before = tool.previous_description.as_deref().unwrap_or_default();
    findings.sum::<usize>() + description.len() + before.len() + size_of_definition(&tool.definition)
}

/// Returns the approximate size of a definition in HTML, with what surrounds it.
fn size_of_definition(definition: &Value) -> usize {
    let text = definition.to_string();
    // A quotation mark has six characters in HTML; most line breaks and spaces are next to one.
    let marks = text.bytes().filter(|byte| *byte == b'"').count();
    text.len() + 8 * marks + 700
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
            p { (message(&shown.reason)) }
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

fn approve_server(frame: &Frame, review: &Review, pending: &Pending<'_>) -> Markup {
    let dangers = confirmations(review, &Subject::Server);
    let others: Vec<&ReviewWarning> = review.warnings.iter().filter(|warning| !warning.confirm).collect();
    html! {
        section.panel.decide {
            form method="post" action={"/ui/review/" (encoded(&review.name)) "/approve"} {
                (token(frame))
                input type="hidden" name="fingerprint" value=(review.fingerprint);
                input type="hidden" name="offset" value=(pending.part.start);
                @if review.inspected { @for tool in &pending.tools { input type="hidden" name={"tool." (tool.name)} value=(tool.fingerprint); } }
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
            div.between.danger {
                p.quiet { "Removing the server deletes its entry from the configuration." }
                (button_for(frame, &format!("/ui/servers/{}/remove", encoded(&review.name)), "Remove server", "danger", "", &format!("Remove the server “{}”?", review.name)))
            }
        }
    }
}

/// Renders a danger with its check box.
fn confirm(danger: &Confirmation) -> Markup {
    html! { li.bad { label { input type="checkbox" name="confirmed" value=(danger.key) required; span { (foreign(&danger.text)) } } } }
}

/// Renders the tools of a server that was inspected before its approval, or the offer to inspect it.
fn inspected(frame: &Frame, review: &Review, pending: &Pending<'_>) -> Markup {
    html! {
        @if review.inspected {
            section aria-labelledby="tools" {
                h2 #tools { (number(pending.all_tools, "tool", "tools")) }
                p.quiet {
                    @if pending.part.has_others() { "Only the tools on this page are approved together with the server. The others need approval when it runs." }
                    @else { "They are approved together with the server." }
                    " The text comes from the server and is not verified."
                }
                ul.stack { @for tool in &pending.tools { li.panel.tool { strong { (foreign(&tool.name)) } (facts(tool)) } } }
                (pending.pager(review))
            }
        } @else if review.command.is_some() {
            section.panel.between {
                p { "MCPProxy can start the server once to list its tools before you decide." @if let Some(given) = &review.inspection { " " (foreign(given)) } }
                (button_for(frame, &format!("/ui/servers/{}/inspect", encoded(&review.name)), "List its tools", "", &review.name, ""))
            }
        }
    }
}

/// Renders the pending tools, prompts and resource templates of a running server.
fn approve_pending(frame: &Frame, review: &Review, pending: &Pending<'_>) -> Markup {
    let offers = pending.part.total - pending.all_tools;
    html! {
        form method="post" action={"/ui/review/" (encoded(&review.name)) "/tools"} {
            (token(frame))
            input type="hidden" name="offset" value=(pending.part.start);
            h2 #tools {
                @if pending.all_tools > 0 { (number(pending.all_tools, "tool needs approval", "tools need approval")) }
                @if pending.all_tools > 0 && offers > 0 { ", " }
                @if offers > 0 { (number(offers, "prompt or resource needs approval", "prompts and resources need approval")) }
            }
            p.quiet {
                "The text below comes from the server and is not verified."
                @if pending.part.has_others() { " Only what is selected on this page is approved." }
            }
            ul.stack {
                @for (index, tool) in pending.tools.iter().enumerate() { li.panel.tool {
                    div.between {
                        label.check {
                            input type="checkbox" name={"tool." (tool.name)} value=(tool.fingerprint) checked[tool.findings.is_empty()] id={"tool" (index)};
                            strong { (foreign(&tool.name)) }
                        }
                        (newness(&tool.approval))
                    }
                    (facts(tool))
                } }
                @for offer in &pending.offers { li.panel.tool {
                    div.between {
                        label.check {
                            input type="checkbox" name={"tool." (offer.key)} value=(offer.fingerprint) checked[offer.findings.is_empty()];
                            strong { (foreign(&offer.key)) }
                        }
                        (newness(&offer.approval))
                    }
                    (findings(&offer.findings))
                    (definition(&offer.definition))
                } }
            }
            div.actions.sticky { button.primary type="submit" { "Approve selected" } }
        }
        (pending.pager(review))
    }
}

fn newness(approval: &ApprovalStatus) -> Markup {
    if *approval == ApprovalStatus::Changed {
        badge("warn", "Changed")
    } else {
        badge("busy", "New")
    }
}

/// Renders all that the user should know about a tool before its approval.
fn facts(tool: &ReviewTool) -> Markup {
    html! {
        (findings(&tool.findings))
        (description(tool))
        @if !tool.changes.is_empty() { p.quiet { "Changed since your approval: " (foreign(&tool.changes.join(", "))) } }
        (definition(&tool.definition))
    }
}

fn findings(findings: &[Finding]) -> Markup {
    html! {
        @if !findings.is_empty() {
            ul.warnings { @for finding in findings { li.bad { (foreign(&finding.reason)) " " q { (foreign(&finding.quote)) } } } }
        }
    }
}

fn definition(definition: &Value) -> Markup {
    html! { details { summary { "Full definition" } pre.code tabindex="0" { (foreign(&serde_json::to_string_pretty(definition).unwrap_or_default())) } } }
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

    fn with_tools(count: usize, inspected: bool) -> Review {
        let tool = |number: usize| ReviewTool {
            name: format!("t{number}"),
            approval: "pending".into(),
            fingerprint: format!("f{number}"),
            definition: json!({"description": "x".repeat(3000), "name": format!("t{number}")}),
            ..ReviewTool::default()
        };
        let offer = ReviewOffer {
            key: "prompt:p".into(),
            approval: "pending".into(),
            ..ReviewOffer::default()
        };
        Review {
            needs_approval: inspected,
            inspected,
            tools: (0..count).map(tool).collect(),
            offers: vec![offer],
            ..review()
        }
    }

    /// Returns the names that the form on each page approves, and the pages.
    fn pages(review: &Review) -> Vec<(Vec<String>, String)> {
        let (mut pages, mut offset) = (Vec::new(), Some(0));
        while let Some(here) = offset {
            let shown = Shown {
                review: review.clone(),
                offset: here,
                ..Shown::default()
            };
            let text = details(&Frame::default(), &shown).into_string();
            let names = text.split("name=\"tool.").skip(1);
            let names = names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
            let next = text.split("rel=\"next\" href=\"/ui/review/s?offset=").nth(1);
            offset = next.map(|rest| rest.split('#').next().unwrap().parse().unwrap());
            pages.push((names, text));
        }
        pages
    }

    #[test]
    fn every_pending_tool_is_on_one_page_which_approves_only_what_it_shows() {
        for inspected in [false, true] {
            let pages = pages(&with_tools(300, inspected));
            assert!(pages.len() > 10 && pages.iter().all(|(_, text)| text.len() < 65_000), "{}", pages.len());
            let approved: Vec<&String> = pages.iter().flat_map(|(names, _)| names).collect();
            let mut expected: Vec<String> = (0..300).map(|number| format!("t{number}")).collect();
            expected.extend((!inspected).then(|| "prompt:p".to_owned()));
            assert_eq!(approved, expected.iter().collect::<Vec<_>>());
            for (names, text) in &pages {
                let is_shown = |name: &String| text.contains(&format!("<strong>{name}</strong>"));
                assert!(!names.is_empty() && names.iter().all(is_shown));
                assert_eq!(text.matches("<summary>Full definition").count(), names.len());
                assert!(text.contains(" on this page "), "{text}");
            }
        }
        let few = pages(&with_tools(2, false));
        assert!(few.len() == 1 && !few[0].1.contains(" on this page ") && !few[0].1.contains("rel=\"next\""));
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
