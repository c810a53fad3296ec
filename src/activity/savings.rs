//! The tokens that the search saves a client: the definitions of all tools that it would have received, less the
//! definitions and search results that it did receive.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::activity::token_totals::SavedTotals;
use crate::activity::totals::{DAY, PERIOD, PeriodTotals, period_of};
use crate::contract::api::{DaySavings, SavingsPeriod, TokenSavings};

/// Returns the start of the month that contains a time.
pub(super) fn month_of(now: Timestamp) -> Timestamp {
    format!("{}-01T00:00:00Z", now.strftime("%Y-%m")).parse().unwrap_or(now)
}

/// Returns the savings by day and client, with the totals of today and of this month. `calls` are the calls over time,
/// at least of this month.
pub(super) fn savings(
    saved: BTreeMap<(u32, String), SavedTotals>,
    calls: &[(u32, PeriodTotals)],
    now: Timestamp,
) -> TokenSavings {
    let (month, today) = (period_of(month_of(now), DAY), period_of(now, DAY));
    let since = |first: u32| SavingsPeriod {
        calls: calls.iter().filter(|(period, _)| day_of(*period) >= first).map(|(_, totals)| totals.calls).sum(),
        saved_tokens: saved.iter().filter(|((day, _), _)| *day >= first).map(|(_, totals)| totals.saved()).sum(),
    };
    let (this_month, today) = (since(month), since(today));
    let day = |((day, client), totals): ((u32, String), SavedTotals)| DaySavings {
        day: Timestamp::from_second(i64::from(day) * DAY)
            .map(|day| day.strftime("%Y-%m-%d").to_string())
            .unwrap_or_default(),
        client,
        sessions: totals.sessions,
        all_tools_tokens: totals.all_tools,
        received_tokens: totals.received,
        saved_tokens: totals.saved(),
    };
    TokenSavings {
        today,
        this_month,
        days: saved.into_iter().rev().map(day).collect(),
    }
}

/// Returns the day of a period of the timeline.
fn day_of(period: u32) -> u32 {
    u32::try_from(i64::from(period) * PERIOD / DAY).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_clients_are_summed_for_today_and_the_month() {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        let totals = |all_tools, received| SavedTotals {
            sessions: 1,
            all_tools,
            received,
        };
        let day = |text: &str| period_of(text.parse().unwrap(), DAY);
        let saved = BTreeMap::from([
            ((day("2026-02-28T23:00:00Z"), "a".to_owned()), totals(10_000, 1_000)),
            ((day("2026-03-01T00:00:00Z"), "a".to_owned()), totals(5_000, 1_000)),
            ((day("2026-03-02T00:00:00Z"), "a".to_owned()), totals(5_000, 2_000)),
            ((day("2026-03-02T00:00:00Z"), "b".to_owned()), totals(1_000, 1_500)),
        ]);
        let calls = |text: &str, calls| {
            let totals = PeriodTotals {
                calls,
                ..PeriodTotals::default()
            };
            (period_of(text.parse().unwrap(), PERIOD), totals)
        };
        let calls = [
            calls("2026-02-28T23:55:00Z", 1),
            calls("2026-03-01T00:00:00Z", 2),
            calls("2026-03-02T09:59:00Z", 4),
        ];
        let found = savings(saved, &calls, now);
        assert_eq!((found.today.calls, found.today.saved_tokens), (4, 2_500));
        assert_eq!((found.this_month.calls, found.this_month.saved_tokens), (6, 6_500));
        let days: Vec<_> =
            found.days.iter().map(|day| (day.day.as_str(), day.client.as_str(), day.saved_tokens)).collect();
        assert_eq!(days[..2], [("2026-03-02", "b", -500), ("2026-03-02", "a", 3_000)]);
        assert_eq!(days[3], ("2026-02-28", "a", 9_000));
    }
}
