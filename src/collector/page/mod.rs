//! Renders the page as HTML without scripts. It shows each figure with its definition and the data behind it.

mod chart;
mod sections;
mod text;

use std::fmt::Write as _;

use serde_json::Value;

use crate::collector::audience::{Audience, Who};
use crate::collector::report::{KINDS, SYSTEMS};
use text::{escape, text};

const STYLE: &str = include_str!("style.css");

/// Renders the page of an audience. In public figures `null` is a hidden cell.
pub(super) fn render(figures: &Value, audience: Audience, is_public: bool, is_empty: bool) -> String {
    let mut html = String::with_capacity(40 << 10);
    html.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let _ = write!(
        html,
        "<title>MCPProxy usage: {}</title><style>{STYLE}</style></head><body>",
        escape(&audience.to_string())
    );
    html.push_str("<header><h1>MCPProxy usage</h1>");
    if !is_empty {
        let _ = write!(
            html,
            "<p>{} to {} (UTC, by day of receipt). Counts {}.</p>",
            text(figures, "/first_day"),
            text(figures, "/last_day"),
            escape(audience_sentence(audience))
        );
    }
    filters(&mut html, audience);
    html.push_str("</header><main>");
    if is_empty {
        html.push_str("<p class=\"note\">No report has arrived yet. Set <code>telemetry.endpoint</code> of a client to this collector's <code>/v1</code>; a client sends its first report some minutes after it starts.</p>");
    }
    if !is_empty && figures["installs"] == 0 && audience != Audience::EVERYTHING {
        html.push_str("<p class=\"note\">No installation belongs to this audience. <a href=\"/?who=all\">Everything</a> counts all of them.</p>");
    }
    if is_public {
        html.push_str("<p class=\"note\">Numbers from 1 to 9 (&lt;10) are hidden, and so are others if a sum would reveal one.</p>");
    }
    sections::all(&mut html, figures);
    html.push_str("</main><footer><h2>What these numbers are</h2><p>Each installation sends a random id, which makes these data pseudonymous, not anonymous. ");
    html.push_str("No address is stored. Nothing proves that a report is genuine: reports can be forged. ");
    html.push_str("Anyone can see and delete the data of their own installation: <code>mcpproxy telemetry received</code> and <code>mcpproxy telemetry forget</code>. ");
    html.push_str(
        "The signed figures are at <a href=\"/public/stats.json\">/public/stats.json</a>.</p></footer></body></html>",
    );
    html
}

fn audience_sentence(audience: Audience) -> &'static str {
    match audience.who {
        Who::People => {
            "people: installations that are usually interactive, headless or of unknown kind, without development builds"
        }
        Who::Everything => "every installation, of any kind and version",
        Who::Kind(_) => "installations that are usually of this one kind",
    }
}

fn filters(html: &mut String, audience: Audience) {
    let system = audience.system.map_or("", |system| system.word());
    html.push_str("<nav aria-label=\"Audience\"><ul>");
    let kinds = KINDS.iter().map(|kind| (kind.word(), kind_label(kind.word())));
    for (word, label) in [("people", "People"), ("all", "Everything")].into_iter().chain(kinds) {
        link(html, word, system, label, audience.who_word() == word);
    }
    html.push_str("</ul></nav><nav aria-label=\"Operating system\"><ul>");
    let systems = SYSTEMS.iter().map(|system| (system.word(), system_label(system.word())));
    for (word, label) in [("", "All systems")].into_iter().chain(systems) {
        link(html, audience.who_word(), word, label, system == word);
    }
    html.push_str("</ul></nav>");
}

fn link(html: &mut String, who: &str, system: &str, label: &str, is_current: bool) {
    let current = if is_current { " aria-current=\"page\"" } else { "" };
    let system = if system.is_empty() { String::new() } else { format!("&amp;os={system}") };
    let _ = write!(html, "<li><a href=\"/?who={who}{system}\"{current}>{}</a></li>", escape(label));
}

fn kind_label(word: &str) -> &str {
    match word {
        "interactive" => "Interactive",
        "ci" => "CI",
        "cloud_ide" => "Cloud IDE",
        "container" => "Container",
        "headless" => "Headless",
        _ => "Unknown kind",
    }
}

fn system_label(word: &str) -> &str {
    match word {
        "linux" => "Linux",
        "darwin" => "macOS",
        "windows" => "Windows",
        _ => "Other",
    }
}
