//! The charts of the page *Activity*: calls over time, and by server and tool.

use maud::{Markup, html};

use crate::activity::UsageWindow;
use crate::contract::api::{ActivityUsage, ToolUsage};
use crate::server::page::layout::{bars, foreign, grouped, number, periods, size};

/// Maximum number of servers and of tools.
pub(super) const MOST: usize = 10;

pub(super) fn view(usage: &ActivityUsage, window: UsageWindow, link: &dyn Fn(UsageWindow) -> String) -> Markup {
    let windows = [
        (UsageWindow::Hour, "Hour"),
        (UsageWindow::Day, "Day"),
        (UsageWindow::Week, "Week"),
        (UsageWindow::Month, "Month"),
    ];
    let calls: u64 = usage.timeline.iter().map(|period| period.calls).sum();
    html! {
        section.panel aria-labelledby="usage" {
            div.between {
                h2 #usage { (number(usize::try_from(calls).unwrap_or(usize::MAX), "call", "calls")) }
                nav.tabs aria-label="Time" { @for (one, name) in windows {
                    a href=(link(one)) aria-current=[(one == window).then_some("true")] { (name) }
                } }
            }
            @if calls > 0 { (bars(&periods(usage), "Calls over time")) } @else { p.quiet { "No calls in this period." } }
            @if !usage.servers.is_empty() { details { summary { "By server" } (table("Server", &usage.servers)) } }
            @if !usage.tools.is_empty() { details { summary { "By tool" } (table("Tool", &usage.tools)) } }
        }
    }
}

/// Renders a chart with a row for each server or tool. The numbers beside the bars are its data table.
fn table(title: &str, rows: &[ToolUsage]) -> Markup {
    let most = |of: fn(&ToolUsage) -> u64| rows.iter().take(MOST).map(of).max().unwrap_or_default();
    let tokens = most(|row| row.total_req_tokens.max(row.total_resp_tokens));
    let (calls, slowest) = (most(|row| row.calls), most(|row| row.p95_ms));
    html! {
        div.table { table.measures {
            thead { tr { th { (title) } th.right { "Calls" } th.right { "Failed" } th.right { "Median time" } th.right { "95 % within" } th.right { "Results" } th.right { "Tokens in" } th.right { "Tokens out" } } }
            tbody { @for row in rows.iter().take(MOST) { tr {
                td.name { (name(row)) }
                (measure("calls", &row.calls.to_string(), &[("bar", row.calls), ("error", row.errors)], calls))
                td.right { (row.errors) span.unit { " failed" } }
                td.right { (row.p50_ms) " ms" }
                (measure("within", &format!("{} ms", row.p95_ms), &[("bar", row.p95_ms)], slowest))
                td.right { (size(row.total_resp_bytes)) }
                (measure("tokens in", &tokens_of(row.total_req_tokens), &[("bar", row.total_req_tokens)], tokens))
                (measure("tokens out", &tokens_of(row.total_resp_tokens), &[("bar", row.total_resp_tokens)], tokens))
            } } }
        } }
    }
}

/// Returns the name of a tool with its server, or of a server. MCPProxy's own tools have no server.
fn name(row: &ToolUsage) -> String {
    match (row.server.as_str(), row.tool.as_str()) {
        ("", "") => "MCPProxy".to_owned(),
        ("", tool) => foreign(tool),
        (server, "") => foreign(server),
        (server, tool) => foreign(&format!("{server}:{tool}")),
    }
}

pub(super) fn tokens_of(tokens: u64) -> String {
    grouped(i64::try_from(tokens).unwrap_or(i64::MAX))
}

/// Renders a number with its bars, each with its class.
fn measure(unit: &str, text: &str, bars: &[(&str, u64)], most: u64) -> Markup {
    let width = |value: u64| (u128::from(value) * 100).div_ceil(u128::from(most.max(1))).min(100);
    html! {
        td.right {
            (text) span.unit { " " (unit) }
            svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                @for (class, value) in bars.iter().filter(|(_, value)| *value > 0) { rect class=(class) width=(width(*value)) height="4" {} }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_and_tool_has_bars_of_calls_errors_times_and_tokens() {
        let row = |server: &str, tool: &str, calls| ToolUsage {
            server: server.into(),
            tool: tool.into(),
            calls,
            errors: calls / 4,
            p95_ms: 2_000,
            total_req_tokens: 10,
            total_resp_tokens: 1_000,
            ..ToolUsage::default()
        };
        let usage = ActivityUsage {
            servers: vec![row("<git>", "", 80), row("", "", 20)],
            tools: vec![row("<git>", "log", 80), row("", "retrieve_tools", 20)],
            ..ActivityUsage::default()
        };
        let text = view(&usage, UsageWindow::Day, &|_| String::new()).into_string();
        for part in [
            "&lt;git&gt;:log</td>",
            ">retrieve_tools</td>",
            ">MCPProxy</td>",
            "By server",
            r#"<rect class="bar" width="25" height="4"></rect><rect class="error" width="7" height="4">"#,
            r#"<rect class="bar" width="1" height="4">"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches("2000 ms").count(), 4);
    }

    #[test]
    fn without_calls_there_are_no_bars() {
        let text = view(&ActivityUsage::default(), UsageWindow::Day, &|_| String::new()).into_string();
        assert!(text.contains("No calls in this period") && !text.contains("<rect"), "{text}");
    }
}
