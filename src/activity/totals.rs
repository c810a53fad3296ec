//! Running totals of calls, which answer without reading every record.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::activity::call::cut;
use crate::activity::header::Header;
use crate::activity::token_totals::{SavedTotals, SessionTotals};
use crate::contract::words::{ActivityKind, ActivityStatus};

/// Length of the periods of the timeline, in seconds.
pub(super) const PERIOD: i64 = 300;
/// Length of the periods of [`ToolTotals`], in seconds.
pub(super) const HOUR: i64 = 3_600;
/// Length of the periods of [`SavedTotals`] and [`SessionTotals`], in seconds: days in UTC.
pub(super) const DAY: i64 = 86_400;
/// Maximum length of a client's name in the totals, in bytes.
const LONGEST_CLIENT: usize = 100;

/// The values by which records are counted: type, status, server, tool.
pub(super) type CountKey = (ActivityKind, ActivityStatus, String, String);

/// Returns the number of the period that contains a time. Times before 1970 are in the first one.
pub(super) fn period_of(at: Timestamp, length: i64) -> u32 {
    u32::try_from(at.as_second().max(0) / length.max(1)).unwrap_or(u32::MAX)
}

/// All calls in one period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PeriodTotals {
    pub calls: u64,
    pub errors: u64,
    pub response_bytes: u64,
}

impl PeriodTotals {
    pub(super) fn add(&mut self, other: PeriodTotals) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.response_bytes += other.response_bytes;
    }

    fn of(header: &Header<'_>) -> PeriodTotals {
        PeriodTotals {
            calls: 1,
            errors: u64::from(header.status == ActivityStatus::Error),
            response_bytes: header.response_bytes.unwrap_or_default(),
        }
    }
}

/// The calls of one tool in one hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ToolTotals {
    pub calls: u64,
    pub errors: u64,
    pub blocked: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Stored in a table of their own, because an earlier version wrote this one.
    pub request_tokens: u64,
    pub response_tokens: u64,
    /// Time of the latest call, in microseconds since 1970.
    pub last: u64,
    /// Number of calls by [`bucket`] of their duration.
    pub durations: BTreeMap<u16, u64>,
}

impl ToolTotals {
    fn of(header: &Header<'_>, at: Timestamp) -> ToolTotals {
        ToolTotals {
            calls: 1,
            errors: u64::from(header.status == ActivityStatus::Error),
            blocked: u64::from(header.status == ActivityStatus::Blocked),
            request_bytes: header.request_bytes.unwrap_or_default(),
            response_bytes: header.response_bytes.unwrap_or_default(),
            request_tokens: header.request_tokens.unwrap_or_default(),
            response_tokens: header.response_tokens.unwrap_or_default(),
            last: u64::try_from(at.as_microsecond()).unwrap_or_default(),
            durations: BTreeMap::from([(bucket(header.duration_ms), 1)]),
        }
    }

    pub(super) fn add(&mut self, other: &ToolTotals) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.blocked += other.blocked;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
        self.request_tokens += other.request_tokens;
        self.response_tokens += other.response_tokens;
        self.last = self.last.max(other.last);
        for (bucket, count) in &other.durations {
            *self.durations.entry(*bucket).or_default() += count;
        }
    }

    /// Returns the duration that `percent` of the calls did not exceed, in milliseconds, with an error of at most 3 %.
    pub(super) fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.durations.values().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in &self.durations {
            seen += count;
            if seen >= wanted {
                return longest(*bucket);
            }
        }
        0
    }

    /// Returns the stored form without the tokens: all numbers as LEB128.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        let fixed = [
            self.calls,
            self.errors,
            self.blocked,
            self.request_bytes,
            self.response_bytes,
            self.last,
        ];
        let durations = self.durations.iter().flat_map(|(bucket, count)| [u64::from(*bucket), *count]);
        for mut number in fixed.into_iter().chain(durations) {
            while number >= 0x80 {
                bytes.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        }
        bytes
    }

    /// Reads the stored form. Missing numbers are 0.
    pub(super) fn decode(bytes: &[u8]) -> ToolTotals {
        let mut numbers = Numbers(bytes);
        let mut next = || numbers.next();
        let mut totals = ToolTotals {
            calls: next().unwrap_or_default(),
            errors: next().unwrap_or_default(),
            blocked: next().unwrap_or_default(),
            request_bytes: next().unwrap_or_default(),
            response_bytes: next().unwrap_or_default(),
            last: next().unwrap_or_default(),
            ..ToolTotals::default()
        };
        while let (Some(bucket), Some(count)) = (next(), next()) {
            totals.durations.insert(u16::try_from(bucket).unwrap_or(u16::MAX), count);
        }
        totals
    }
}

/// Reads numbers in LEB128.
struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(number)
    }
}

/// Buckets per doubling of the duration. Durations below twice this number have a bucket of their own.
const BUCKETS: u64 = 32;

/// Returns the bucket of a duration in milliseconds.
fn bucket(ms: u64) -> u16 {
    let doublings = (ms / BUCKETS).checked_ilog2().unwrap_or_default();
    u16::try_from(BUCKETS * u64::from(doublings) + (ms >> doublings)).unwrap_or(u16::MAX)
}

/// Returns the longest duration in a bucket.
fn longest(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let doublings = (bucket / BUCKETS).saturating_sub(1).min(58);
    let start = bucket - BUCKETS * doublings;
    u64::try_from((u128::from(start + 1) << doublings) - 1).unwrap_or(u64::MAX)
}

/// The totals of some records, which are added to the stored ones or to an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// The difference of the number of records.
    pub counts: BTreeMap<CountKey, i64>,
    pub tools: BTreeMap<(u32, String, String), ToolTotals>,
    pub timeline: BTreeMap<u32, PeriodTotals>,
    /// By day and client.
    pub saved: BTreeMap<(u32, String), SavedTotals>,
    pub sessions: BTreeMap<String, SessionTotals>,
}

impl Totals {
    /// Adds a record.
    pub(super) fn add(&mut self, header: &Header<'_>) {
        *self.counts.entry(count_key(header)).or_default() += 1;
        let Some(at) = header.at() else { return };
        self.add_tokens(header, period_of(at, DAY));
        if header.kind != ActivityKind::ToolCall {
            return;
        }
        self.timeline.entry(period_of(at, PERIOD)).or_default().add(PeriodTotals::of(header));
        let key = (period_of(at, HOUR), header.server_name.to_string(), header.tool_name.to_string());
        self.tools.entry(key).or_default().add(&ToolTotals::of(header, at));
    }

    fn add_tokens(&mut self, header: &Header<'_>, day: u32) {
        if let Some(session) = SessionTotals::of(header, day) {
            let label = header.session_id.as_deref().unwrap_or_default();
            self.sessions.entry(label.to_owned()).or_default().add(session);
        }
        if let Some(saved) = SavedTotals::of(header) {
            let client = cut(header.client_name.as_deref().unwrap_or_default(), LONGEST_CLIENT).0;
            self.saved.entry((day, client.to_owned())).or_default().add(saved);
        }
    }

    /// Counts a record as removed. The calls over time keep it.
    pub(super) fn remove(&mut self, header: &Header<'_>) {
        *self.counts.entry(count_key(header)).or_default() -= 1;
    }
}

fn count_key(header: &Header<'_>) -> CountKey {
    (header.kind.clone(), header.status.clone(), header.server_name.to_string(), header.tool_name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_a_bucket_that_is_at_most_3_percent_wide() {
        let mut last = 0;
        for ms in (0..5_000).chain([60_000, 86_400_000, u64::MAX / 2, u64::MAX]) {
            let bucket = bucket(ms);
            assert!(bucket >= last, "{ms}");
            last = bucket;
            let longest = longest(bucket);
            assert!(longest >= ms && longest - ms <= ms / 32, "{ms} is in a bucket up to {longest}");
        }
    }

    #[test]
    fn totals_are_read_as_they_were_written() {
        let header = |status: &'static str, ms: u64| Header {
            status: status.into(),
            duration_ms: ms,
            response_bytes: Some(1 << 40),
            ..Header::default()
        };
        let mut totals = ToolTotals::default();
        for ms in 1..=100 {
            totals.add(&ToolTotals::of(&header("success", ms), Timestamp::UNIX_EPOCH));
        }
        totals.add(&ToolTotals::of(&header("error", 9_999), "2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(ToolTotals::decode(&totals.encode()), totals);
        assert_eq!((totals.percentile(50), totals.percentile(95), totals.errors), (51, 97, 1));
        assert_eq!(ToolTotals::decode(&[]), ToolTotals::default());
        assert_eq!(ToolTotals::decode(&[0xff; 5]), ToolTotals::default());
    }
}
