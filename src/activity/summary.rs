//! Totals over records.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::contract::api::{
    ActivityCount, ActivityKind, ActivityRecord, ActivityStatus, ActivitySummary, ActivityUsage, ToolUsage, UsagePeriod,
};

/// Maximum number of servers in a summary.
const TOP: usize = 10;
/// Maximum number of durations per tool for computing percentiles.
const MOST_DURATIONS: usize = 10_000;

/// Returns totals of the calls in `records`, which are ordered newest first.
pub(super) fn summarise(records: impl Iterator<Item = ActivityRecord>, period: &str) -> ActivitySummary {
    let mut summary = ActivitySummary {
        period: period.to_owned(),
        ..ActivitySummary::default()
    };
    let mut servers: BTreeMap<String, u64> = BTreeMap::new();
    for record in records.filter(|record| record.kind == ActivityKind::ToolCall) {
        summary.total_count += 1;
        match record.status {
            ActivityStatus::Success => summary.success_count += 1,
            ActivityStatus::Error => summary.error_count += 1,
            ActivityStatus::Blocked => summary.blocked_count += 1,
            ActivityStatus::Rejected | ActivityStatus::Unknown(_) => summary.rejected_count += 1,
        }
        if summary.end_time.is_empty() {
            summary.end_time.clone_from(&record.timestamp);
        }
        summary.start_time = record.timestamp;
        *servers.entry(record.server_name).or_default() += 1;
    }
    let mut top: Vec<ActivityCount> = servers.into_iter().map(|(name, count)| ActivityCount { name, count }).collect();
    top.sort_by_key(|one| std::cmp::Reverse(one.count));
    top.truncate(TOP);
    summary.top_servers = top;
    summary
}

/// A window that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageWindow {
    Hour,
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

    fn seconds(self) -> i64 {
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

    /// Returns the start of the window.
    pub fn start(self, now: Timestamp) -> Timestamp {
        now.checked_sub(SignedDuration::from_secs(self.seconds())).unwrap_or(Timestamp::MIN)
    }
}

#[derive(Default)]
struct Gathered {
    usage: ToolUsage,
    durations: Vec<u64>,
}

/// Returns the calls in `records`, which are ordered newest first, by tool and over time.
pub(super) fn usage(
    records: impl Iterator<Item = ActivityRecord>,
    window: UsageWindow,
    now: Timestamp,
) -> ActivityUsage {
    let start = window.start(now);
    let part = (window.seconds() / window.parts()).max(1);
    let mut timeline: Vec<UsagePeriod> = (0..window.parts())
        .map(|number| UsagePeriod {
            start: start
                .checked_add(SignedDuration::from_secs(number * part))
                .map(|at| format!("{at:.0}"))
                .unwrap_or_default(),
            ..UsagePeriod::default()
        })
        .collect();
    let mut tools: BTreeMap<(String, String), Gathered> = BTreeMap::new();
    for record in records.filter(|record| record.kind == ActivityKind::ToolCall) {
        let Ok(at) = record.timestamp.parse::<Timestamp>() else { continue };
        if at < start {
            continue;
        }
        let bytes = record.response_bytes.unwrap_or_default();
        let number = (at.as_second() - start.as_second()) / part;
        let last = timeline.len().saturating_sub(1);
        let index = usize::try_from(number).unwrap_or_default().min(last);
        if let Some(period) = timeline.get_mut(index) {
            period.calls += 1;
            period.errors += u64::from(record.status == ActivityStatus::Error);
            period.total_resp_bytes += bytes;
        }
        let tool = tools.entry((record.server_name, record.tool_name)).or_default();
        tool.usage.calls += 1;
        tool.usage.errors += u64::from(record.status == ActivityStatus::Error);
        tool.usage.blocked += u64::from(record.status == ActivityStatus::Blocked);
        tool.usage.total_resp_bytes += bytes;
        tool.usage.total_req_bytes += record.request_bytes.unwrap_or_default();
        if tool.usage.last_used.is_empty() {
            tool.usage.last_used = record.timestamp;
        }
        if tool.durations.len() < MOST_DURATIONS {
            tool.durations.push(record.duration_ms);
        }
    }
    let mut tools: Vec<ToolUsage> = tools.into_iter().map(finish).collect();
    tools.sort_by_key(|tool| std::cmp::Reverse(tool.calls));
    ActivityUsage {
        window: window.word().to_owned(),
        generated_at: format!("{now:.0}"),
        tools,
        timeline,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn finish(((server, tool), mut gathered): ((String, String), Gathered)) -> ToolUsage {
    gathered.durations.sort_unstable();
    let at = |percent: usize| {
        let index = (gathered.durations.len() * percent).div_ceil(100).saturating_sub(1);
        gathered.durations.get(index).copied().unwrap_or_default()
    };
    let (p50_ms, p95_ms) = (at(50), at(95));
    let usage = gathered.usage;
    ToolUsage {
        server,
        tool,
        p50_ms,
        p95_ms,
        error_rate: usage.errors as f64 / usage.calls.max(1) as f64,
        ..usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(server: &str, status: &str, at: &str, ms: u64) -> ActivityRecord {
        ActivityRecord {
            kind: ActivityKind::ToolCall,
            server_name: server.to_owned(),
            tool_name: "t".to_owned(),
            status: status.into(),
            timestamp: at.to_owned(),
            duration_ms: ms,
            response_bytes: Some(10),
            ..ActivityRecord::default()
        }
    }

    #[test]
    fn usage_has_percentiles_and_a_timeline_without_what_is_older() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let mut records: Vec<ActivityRecord> =
            (1..=100).map(|ms| record("a", "success", "2026-01-01T23:30:00Z", ms)).collect();
        records.push(record("b", "error", "2026-01-01T00:10:00Z", 5));
        records.push(record("b", "error", "2025-12-31T23:59:59Z", 5));
        let usage = usage(records.into_iter(), UsageWindow::Day, now);
        assert_eq!((usage.tools[0].p50_ms, usage.tools[0].p95_ms, usage.tools[0].calls), (50, 95, 100));
        assert_eq!((usage.tools[1].calls, usage.tools[1].errors), (1, 1));
        let calls: Vec<u64> = usage.timeline.iter().map(|period| period.calls).collect();
        assert_eq!((calls.len(), calls[0], calls[23]), (24, 1, 100));
    }

    #[test]
    fn a_summary_counts_calls_by_outcome_and_server() {
        let records = [
            record("a", "success", "3", 1),
            record("b", "blocked", "2", 1),
            record("a", "error", "1", 1),
            ActivityRecord::default(),
        ];
        let summary = summarise(records.into_iter(), "all");
        assert_eq!((summary.total_count, summary.error_count, summary.blocked_count), (3, 1, 1));
        assert_eq!((summary.start_time.as_str(), summary.end_time.as_str()), ("1", "3"));
        assert_eq!(summary.top_servers[0].name, "a");
    }
}
