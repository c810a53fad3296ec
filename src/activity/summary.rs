//! Totals over records, in the form of REST.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::activity::totals::{CountKey, PERIOD, PeriodTotals, ToolTotals};
use crate::contract::api::{ActivityCount, ActivityStatus, ActivitySummary, ActivityUsage, ToolUsage, UsagePeriod};

/// Maximum number of servers in a summary.
const TOP: usize = 10;

/// Returns the totals of calls that are counted by type, status, server and tool.
pub(super) fn summarise(counts: &[(CountKey, u64)], period: &str) -> ActivitySummary {
    let mut summary = ActivitySummary {
        period: period.to_owned(),
        ..ActivitySummary::default()
    };
    let mut servers: BTreeMap<&str, u64> = BTreeMap::new();
    for ((_, status, server, _), count) in counts {
        let number = usize::try_from(*count).unwrap_or(usize::MAX);
        summary.total_count += number;
        match status {
            ActivityStatus::Success => summary.success_count += number,
            ActivityStatus::Error => summary.error_count += number,
            ActivityStatus::Blocked => summary.blocked_count += number,
            ActivityStatus::Rejected | ActivityStatus::Unknown(_) => summary.rejected_count += number,
        }
        *servers.entry(server).or_default() += count;
    }
    let count = |(name, count): (&str, u64)| ActivityCount {
        name: name.to_owned(),
        count,
    };
    let mut top: Vec<ActivityCount> = servers.into_iter().map(count).collect();
    top.sort_by_key(|one| std::cmp::Reverse(one.count));
    top.truncate(TOP);
    summary.top_servers = top;
    summary
}

/// A window that ends now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UsageWindow {
    Hour,
    #[default]
    Day,
    Week,
    Month,
}

impl UsageWindow {
    /// Returns the window with this name.
    pub fn of(word: &str) -> Option<UsageWindow> {
        [
            UsageWindow::Hour,
            UsageWindow::Day,
            UsageWindow::Week,
            UsageWindow::Month,
        ]
        .into_iter()
        .find(|window| window.word() == word)
    }

    pub fn word(self) -> &'static str {
        match self {
            UsageWindow::Hour => "1h",
            UsageWindow::Day => "24h",
            UsageWindow::Week => "7d",
            UsageWindow::Month => "30d",
        }
    }

    /// Returns its length in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            UsageWindow::Hour => 3_600,
            UsageWindow::Day => 86_400,
            UsageWindow::Week => 7 * 86_400,
            UsageWindow::Month => 30 * 86_400,
        }
    }

    fn parts(self) -> i64 {
        match self {
            UsageWindow::Hour => 12,
            UsageWindow::Day => 24,
            UsageWindow::Week => 7,
            UsageWindow::Month => 30,
        }
    }
}

/// The calls of a window that ends with the current period of the timeline.
#[derive(Debug)]
pub(super) struct Window {
    window: UsageWindow,
    now: Timestamp,
    start: Timestamp,
    timeline: Vec<UsagePeriod>,
    tools: BTreeMap<(String, String), ToolTotals>,
}

impl Window {
    pub(super) fn new(window: UsageWindow, now: Timestamp) -> Window {
        let end = (now.as_second().div_euclid(PERIOD) + 1) * PERIOD;
        let start = Timestamp::from_second(end - window.seconds()).unwrap_or(Timestamp::MIN);
        let part = window.seconds() / window.parts();
        let period = |number: i64| UsagePeriod {
            start: start
                .checked_add(SignedDuration::from_secs(number * part))
                .map(|at| format!("{at:.0}"))
                .unwrap_or_default(),
            ..UsagePeriod::default()
        };
        Window {
            window,
            now,
            start,
            timeline: (0..window.parts()).map(period).collect(),
            tools: BTreeMap::new(),
        }
    }

    /// Returns the start of the window, which begins a period.
    pub(super) fn start(&self) -> Timestamp {
        self.start
    }

    /// Adds the calls of a period of the timeline.
    pub(super) fn add_period(&mut self, period: u32, calls: PeriodTotals) {
        let part = self.window.seconds() / self.window.parts();
        let number = (i64::from(period) * PERIOD - self.start.as_second()) / part.max(1);
        let last = self.timeline.len().saturating_sub(1);
        // The clock may have been set back: later calls are in the last part.
        let index = usize::try_from(number).unwrap_or_default().min(last);
        if let Some(period) = self.timeline.get_mut(index) {
            period.calls += calls.calls;
            period.errors += calls.errors;
            period.total_resp_bytes += calls.response_bytes;
        }
    }

    /// Adds calls of a tool.
    pub(super) fn add_tool(&mut self, server: &str, tool: &str, calls: &ToolTotals) {
        self.tools.entry((server.to_owned(), tool.to_owned())).or_default().add(calls);
    }

    /// Returns the totals, the most used tools first.
    pub(super) fn finish(self) -> ActivityUsage {
        let mut servers: BTreeMap<(String, String), ToolTotals> = BTreeMap::new();
        for ((server, _), calls) in &self.tools {
            servers.entry((server.clone(), String::new())).or_default().add(calls);
        }
        let sorted = |totals: BTreeMap<(String, String), ToolTotals>| {
            let mut usage: Vec<ToolUsage> = totals.into_iter().map(tool_usage).collect();
            usage.sort_by_key(|one| std::cmp::Reverse(one.calls));
            usage
        };
        let (tools, servers) = (sorted(self.tools), sorted(servers));
        ActivityUsage {
            window: self.window.word().to_owned(),
            generated_at: format!("{:.0}", self.now),
            tools,
            servers,
            timeline: self.timeline,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn tool_usage(((server, tool), totals): ((String, String), ToolTotals)) -> ToolUsage {
    let last = i64::try_from(totals.last).ok().and_then(|last| Timestamp::from_microsecond(last).ok());
    ToolUsage {
        server,
        tool,
        calls: totals.calls,
        errors: totals.errors,
        error_rate: totals.errors as f64 / totals.calls.max(1) as f64,
        blocked: totals.blocked,
        total_resp_bytes: totals.response_bytes,
        total_req_bytes: totals.request_bytes,
        total_resp_tokens: totals.response_tokens,
        total_req_tokens: totals.request_tokens,
        p50_ms: totals.percentile(50),
        p95_ms: totals.percentile(95),
        last_used: last.map(|last| last.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::ActivityKind;

    #[test]
    fn a_window_ends_with_the_current_period_and_has_equal_parts() {
        let now: Timestamp = "2026-01-02T10:02:00Z".parse().unwrap();
        let mut window = Window::new(UsageWindow::Day, now);
        assert_eq!(window.start().to_string(), "2026-01-01T10:05:00Z");
        let period = |text: &str| crate::activity::totals::period_of(text.parse().unwrap(), PERIOD);
        let calls = PeriodTotals {
            calls: 2,
            errors: 1,
            response_bytes: 10,
        };
        window.add_period(period("2026-01-01T10:05:00Z"), calls);
        window.add_period(period("2026-01-02T10:00:00Z"), calls);
        window.add_period(period("2026-01-05T10:00:00Z"), calls);
        window.add_tool(
            "a",
            "t",
            &ToolTotals {
                calls: 1,
                ..ToolTotals::default()
            },
        );
        window.add_tool(
            "b",
            "t",
            &ToolTotals {
                calls: 2,
                errors: 1,
                ..ToolTotals::default()
            },
        );
        let usage = window.finish();
        let calls: Vec<u64> = usage.timeline.iter().map(|period| period.calls).collect();
        assert_eq!((calls.len(), calls[0], calls[23]), (24, 2, 4));
        assert_eq!(usage.timeline[1].start, "2026-01-01T11:05:00Z");
        assert_eq!((usage.tools[0].server.as_str(), usage.tools[0].error_rate), ("b", 0.5));
    }

    #[test]
    fn the_tools_of_a_server_are_counted_together() {
        let mut window = Window::new(UsageWindow::Day, "2026-01-02T10:02:00Z".parse().unwrap());
        let calls = |number: u64, bucket: u16| ToolTotals {
            calls: number,
            response_tokens: number * 10,
            durations: BTreeMap::from([(bucket, number)]),
            ..ToolTotals::default()
        };
        window.add_tool("a", "quick", &calls(90, 1));
        window.add_tool("a", "slow", &calls(10, 9));
        window.add_tool("b", "t", &calls(95, 1));
        let usage = window.finish();
        let servers: Vec<_> = usage.servers.iter().map(|one| (one.server.as_str(), one.calls, one.p95_ms)).collect();
        assert_eq!(servers, [("a", 100, 9), ("b", 95, 1)], "{servers:?}");
        assert_eq!((usage.servers[0].total_resp_tokens, usage.servers[0].tool.as_str()), (1_000, ""));
    }

    #[test]
    fn a_summary_counts_calls_by_outcome_and_server() {
        let key =
            |status: &str, server: &str| (ActivityKind::ToolCall, status.into(), server.to_owned(), "t".to_owned());
        let counts = [
            (key("success", "a"), 2),
            (key("blocked", "b"), 1),
            (key("error", "a"), 1),
        ];
        let summary = summarise(&counts, "all");
        assert_eq!((summary.total_count, summary.error_count, summary.blocked_count), (4, 1, 1));
        assert_eq!((summary.top_servers[0].name.as_str(), summary.top_servers[0].count), ("a", 3));
    }
}
