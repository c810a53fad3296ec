//! The frame of every page, and the parts that several pages share.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::contract::api::{ActivityUsage, Server};
use crate::contract::words::{HealthAction, ServerStatus};
use crate::server::page::access::Notice;

/// The parts of every page around its contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The token that every form carries.
    pub form_token: String,
    pub notice: Option<Notice>,
    /// Number of servers and tools that need the user's decision.
    pub to_review: usize,
    /// Number of other problems.
    pub problems: usize,
    /// The user came here from guided setup.
    pub in_setup: bool,
    pub version: String,
}

/// The pages in the navigation: path, name, icon.
const PAGES: [(&str, &str, &str); 9] = [
    ("/ui/", "Home", "M3 11 12 4l9 7M6 9.5V20h12V9.5"),
    ("/ui/servers", "Servers", "M4 5h16v5H4zM4 14h16v5H4zM7.5 7.5h.01M7.5 16.5h.01"),
    ("/ui/review", "Review", "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4"),
    ("/ui/tools", "Tools", "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l4 4"),
    ("/ui/activity", "Activity", "M3 12h4l3-8 4 16 3-8h4"),
    ("/ui/clients", "Clients", "M4 5h16v11H4zM9 20h6M12 16v4"),
    ("/ui/settings", "Settings", "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4"),
    ("/ui/privacy", "Privacy", "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3"),
    ("/ui/health", "Health", "M12 20s-8-5-8-11a4.5 4.5 0 0 1 8-2.8A4.5 4.5 0 0 1 20 9c0 6-8 11-8 11z"),
];

pub(super) const STYLE: &str = include_str!("../../../assets/page/style.css");
pub(super) const SCRIPT: &str = include_str!("../../../assets/page/page.js");
pub(super) const ICON: &str = include_str!("../../../assets/icons/normal.svg");

/// Hash of the assets, in their URLs: browsers keep them until their contents change.
static ASSETS: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    [STYLE, SCRIPT, ICON].hash(&mut hasher);
    format!("{:016x}", hasher.finish())
});

/// Renders a complete page. `path` is the path of its entry in the navigation.
pub(super) fn page(frame: &Frame, path: &str, title: &str, contents: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                a.skip href="#main" { "Skip to content" }
                header.side {
                    a.brand href="/ui/" { (logo()) span { "MCPProxy" } }
                    nav aria-label="Main" {
                        ul {
                            @for (target, name, icon) in PAGES {
                                li {
                                    a href=(target) aria-current=[(target == path).then_some("page")] {
                                        svg viewBox="0 0 24 24" aria-hidden="true" { path d=(icon); }
                                        span { (name) }
                                        (count(target, frame))
                                    }
                                }
                            }
                        }
                    }
                    form.foot method="post" action="/ui/sign-out" {
                        (token(frame))
                        span.quiet { "Version " (frame.version) }
                        button.link type="submit" { "Sign out" }
                    }
                }
                main #main tabindex="-1" {
                    div #live {
                        @if let Some(notice) = &frame.notice {
                            div.notice.bad[notice.is_error].good[!notice.is_error] role=(if notice.is_error { "alert" } else { "status" }) data-flash {
                                (notice.text)
                            }
                        }
                        @if frame.in_setup { p.crumbs { a href="/ui/setup" { "Continue setup" } } }
                        (contents)
                    }
                }
                p #connection .offline role="status" hidden { "MCPProxy is not responding. This page updates when it is back." }
            }
        }
    }
}

/// Renders a page for visitors who are not signed in.
pub(super) fn bare(title: &str, contents: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare { main #main { div.gate { (logo()) (contents) } } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · MCPProxy" }
            link rel="icon" href={"/ui/assets/icon.svg?" (ASSETS.as_str())} type="image/svg+xml";
            link rel="stylesheet" href={"/ui/assets/style.css?" (ASSETS.as_str())};
            script type="module" src={"/ui/assets/page.js?" (ASSETS.as_str())} {}
        }
    }
}

fn logo() -> Markup {
    // In the page: an image would be a document of its own, which takes a browser milliseconds.
    html! { span.logo aria-hidden="true" { (PreEscaped(ICON)) } }
}

fn count(target: &str, frame: &Frame) -> Markup {
    let (number, what) = match target {
        "/ui/review" => (frame.to_review, "to review"),
        "/ui/health" => (frame.problems, "problems"),
        _ => (0, ""),
    };
    html! { @if number > 0 { span.count { (number) span.hidden { " " (what) } } } }
}

/// Renders the hidden field with the form token.
pub(super) fn token(frame: &Frame) -> Markup {
    html! { input type="hidden" name="form_token" value=(frame.form_token); }
}

/// Renders the heading of a page, with its main actions.
pub(super) fn heading(title: &str, lead: &str, actions: &Markup) -> Markup {
    html! {
        div.heading {
            div { h1 { (title) } @if !lead.is_empty() { p.lead { (lead) } } }
            div.actions { (actions) }
        }
    }
}

/// Renders a form with one button, which names its subject for screen readers. Asks for confirmation if `question` is
/// not empty.
pub(super) fn button_for(frame: &Frame, action: &str, label: &str, class: &str, about: &str, question: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) data-confirm=[(!question.is_empty()).then_some(question)] {
            (token(frame))
            button type="submit" class=(class) {
                (label)
                @if !about.is_empty() { span.hidden { " " (about) } }
            }
        }
    }
}

/// Renders a state with a colour.
pub(super) fn badge(kind: &str, text: &str) -> Markup {
    html! { span class={"badge " (kind)} { (text) } }
}

/// Renders the text of an empty list.
pub(super) fn empty(title: &str, text: &str, action: &Markup) -> Markup {
    html! { div.empty { h2 { (title) } p { (text) } div.actions { (action) } } }
}

/// Returns a server's state in words, and its colour.
pub(super) fn state_of(server: &Server) -> (&'static str, &'static str) {
    let waiting = server.quarantine.is_some_and(|counts| counts.pending_count + counts.changed_count > 0);
    match server.status {
        ServerStatus::Quarantined => ("warn", "Needs approval"),
        ServerStatus::Disabled => ("off", "Disabled"),
        ServerStatus::Connected if waiting => ("warn", "Tools to review"),
        ServerStatus::Connected => ("good", "Connected"),
        ServerStatus::Connecting => ("busy", "Starting"),
        _ if server.health.as_ref().and_then(|health| health.action.as_ref()) == Some(&HealthAction::Login) => {
            ("warn", "Sign-in needed")
        }
        ServerStatus::Error => ("bad", "Failed"),
        ServerStatus::Disconnected | ServerStatus::Unknown(_) => ("bad", "Not connected"),
    }
}

/// Renders a point in time; the script converts it to the user's time zone.
pub(super) fn time(timestamp: &str) -> Markup {
    let plain = timestamp.get(..19).unwrap_or(timestamp).replace('T', " ");
    html! { time datetime=(timestamp) { (plain) @if !plain.is_empty() { " UTC" } } }
}

/// Formats a length in bytes.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Formats a number with a comma between groups of three digits.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "−" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with a noun.
pub(super) fn number(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// Encodes a path segment or query value.
pub(super) fn encoded(text: &str) -> String {
    crate::client::path_segment(text)
}

/// One page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Index of the first entry.
    pub start: usize,
    /// Index after the last entry.
    pub end: usize,
    /// Number of entries on all pages.
    pub total: usize,
    /// Index of the first entry of the previous page.
    previous: Option<usize>,
}

impl Part {
    /// Returns the page that contains the entry at `offset`, or the last page. `sizes` are the sizes of all entries. A
    /// page has at least one entry, and more if their sizes together are at most `most`.
    pub(super) fn by_size(sizes: impl IntoIterator<Item = usize>, most: usize, offset: usize) -> Part {
        let mut part = Part {
            start: 0,
            end: 0,
            total: 0,
            previous: None,
        };
        let (mut used, mut is_found) = (0_usize, false);
        for size in sizes {
            if part.total > part.start && used.saturating_add(size) > most && !is_found {
                is_found = offset < part.total;
                if !is_found {
                    (part.previous, part.start) = (Some(part.start), part.total);
                }
                used = 0;
            }
            used = used.saturating_add(size);
            part.total += 1;
            part.end = if is_found { part.end } else { part.total };
        }
        part
    }

    /// Whether the list has other pages.
    pub(super) fn has_others(self) -> bool {
        self.end - self.start < self.total
    }
}

/// Renders the links to the neighbouring pages of a list. `link` returns the link of the page with this offset.
pub(super) fn pager(
    offset: usize,
    size: usize,
    total: usize,
    names: [&str; 2],
    link: &dyn Fn(usize) -> String,
) -> Markup {
    let part = Part {
        start: offset,
        // The offset is from the URL.
        end: offset.saturating_add(size).min(total),
        total,
        previous: (offset > 0).then(|| offset.min(total).saturating_sub(size)),
    };
    pager_of(part, names, link)
}

/// Like [`pager`], for pages of any length.
pub(super) fn pager_of(part: Part, names: [&str; 2], link: &dyn Fn(usize) -> String) -> Markup {
    let Part {
        start,
        end,
        total,
        previous,
    } = part;
    html! {
        @if previous.is_some() || end < total {
            nav.pages aria-label="Pages" {
                @if let Some(previous) = previous { a.button rel="prev" href=(link(previous)) { (names[0]) } }
                @if start < end { span.quiet { (start + 1) "–" (end) " of " (total) } }
                @if end < total { a.button rel="next" href=(link(end)) { (names[1]) } }
            }
        }
    }
}

/// Returns the first `most` characters of a text, with an ellipsis if it is longer.
pub(super) fn start_of(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Maximum number of characters of a description in a list.
pub(super) const SUMMARY: usize = 240;

/// Renders bars over time, and a table with the same numbers for screen readers.
pub(super) fn bars(periods: &[(String, u64, u64)], label: &str) -> Markup {
    let most = periods.iter().map(|(_, calls, _)| *calls).max().unwrap_or_default().max(1);
    let height = |value: u64| (value * 100).div_ceil(most).min(100);
    let count = periods.len();
    html! {
        figure.chart {
            svg viewBox={"0 0 " (count * 10) " 104"} preserveAspectRatio="none" role="img" aria-label=(label) {
                @for (index, (start, calls, errors)) in periods.iter().enumerate() {
                    @let (tall, bad) = (height(*calls), height(*errors));
                    g {
                        title { (start.replace('T', " ")) ": " (calls) " calls, " (errors) " errors" }
                        @if *calls == 0 { rect.none x=(index * 10 + 1) y="103" width="8" height="1" {} }
                        @else { rect.bar x=(index * 10 + 1) y=(104 - tall.max(2)) width="8" height=(tall.max(2)) rx="1.5" {} }
                        @if *errors > 0 {
                            rect.error x=(index * 10 + 1) y=(104 - bad) width="8" height=(bad) rx="1.5" {}
                        }
                    }
                }
            }
            div.axis aria-hidden="true" {
                @if let Some((start, ..)) = periods.first() { (time(start)) }
                span { "Highest: " (most) }
                span { "Now" }
            }
            table.hidden {
                caption { (label) }
                thead { tr { th { "Start" } th { "Calls" } th { "Errors" } } }
                tbody { @for (start, calls, errors) in periods { tr { td { (start) } td { (calls) } td { (errors) } } } }
            }
        }
    }
}

/// Returns the bars of a usage.
pub(super) fn periods(usage: &ActivityUsage) -> Vec<(String, u64, u64)> {
    usage.timeline.iter().map(|period| (period.start.clone(), period.calls, period.errors)).collect()
}

/// Renders a message. Its parts between backticks are commands, paths and names, and are shown as code.
pub(super) fn message(text: &str) -> Markup {
    let text = foreign(text);
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of backticks does not quote anything.
    let quotes = parts.len() % 2 == 1;
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if quotes && index % 2 == 1 { code { (part) } } @else { @if !quotes && index > 0 { "`" } (part) }
        }
    }
}

/// Renders text from a server or a client, with invisible and direction-changing characters escaped.
pub(super) fn foreign(text: &str) -> String {
    crate::contract::visible_text::lines(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_quoted_parts_as_code() {
        assert_eq!(
            message("Install `npx`, or `a<b`.").into_string(),
            "Install <code>npx</code>, or <code>a&lt;b</code>."
        );
        assert_eq!(message("one ` alone").into_string(), "one ` alone");
        assert_eq!(message("").into_string(), "");
    }

    #[test]
    fn foreign_text_stays_text() {
        let frame = Frame {
            notice: Some(Notice {
                is_error: true,
                text: "<script>alert(1)</script>".to_owned(),
            }),
            ..Frame::default()
        };
        let text = page(&frame, "/ui/", "<b>", &html! {}).into_string();
        assert!(!text.contains("<script>alert") && !text.contains("<b>"), "{text}");
        assert_eq!(text.matches("aria-current").count(), 1);
    }

    #[test]
    fn a_list_leads_to_its_neighbouring_pages() {
        let link = |offset: usize| format!("/x?{offset}");
        let pager = |offset, total| pager(offset, 10, total, ["Newer", "Older"], &link).into_string();
        assert_eq!(pager(0, 10), "");
        assert!(pager(0, 11).contains("/x?10") && !pager(0, 11).contains("Newer"));
        assert!(
            pager(10, 11).contains("/x?0") && pager(10, 11).contains("11–11 of 11") && !pager(10, 11).contains("Older")
        );
        assert!(pager(usize::MAX, 11).contains("/x?1\"") && !pager(usize::MAX, 11).contains("Older"));
        assert_eq!((start_of("äöü", 2), start_of("äöü", 3)), ("äö…".to_owned(), "äöü".to_owned()));
    }

    #[test]
    fn pages_of_entries_with_sizes_contain_each_entry_once() {
        let sizes = [5, 5, 30, 1, 1, 9, 9];
        let at = |offset| Part::by_size(sizes, 10, offset);
        let mut pages = vec![at(0)];
        while let Some(last) = pages.last().copied().filter(|last| last.end < last.total) {
            pages.push(at(last.end));
        }
        let ranges: Vec<_> = pages.iter().map(|page| (page.start, page.end)).collect();
        assert_eq!(ranges, [(0, 2), (2, 3), (3, 5), (5, 6), (6, 7)]);
        assert!(pages.windows(2).all(|pair| pair[1].previous == Some(pair[0].start) && pair[1].total == 7));
        assert_eq!((at(1), at(4), at(usize::MAX)), (pages[0], pages[2], pages[4]));
        assert!(at(0).has_others() && !Part::by_size([5, 5], 10, 9).has_others());
        assert_eq!(Part::by_size([], 10, 3).total, 0);
    }

    #[test]
    fn sizes_and_numbers_are_for_people() {
        assert_eq!((size(999), size(1_234), size(2_500_000)), ("999 B".into(), "1.2 kB".into(), "2.5 MB".into()));
        assert_eq!([0, 999, 1_000, -1_234_567].map(grouped), ["0", "999", "1,000", "−1,234,567"]);
        assert_eq!((number(1, "tool", "tools"), number(0, "tool", "tools")), ("1 tool".into(), "0 tools".into()));
    }

    #[test]
    fn a_state_is_said_in_words() {
        let server = |status: &str| Server {
            status: status.into(),
            ..Server::default()
        };
        assert_eq!(state_of(&server("connected")), ("good", "Connected"));
        assert_eq!(state_of(&server("quarantined")), ("warn", "Needs approval"));
        assert_eq!(state_of(&server("error")), ("bad", "Failed"));
    }
}
