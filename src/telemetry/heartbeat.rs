//! When the next heartbeat is due. A pure function of times; all in Unix seconds.

use std::time::Duration;

/// The first heartbeat goes this long after start: a run of a minute says nothing.
pub const FIRST_AFTER: Duration = Duration::from_secs(5 * 60);
/// The next one goes this long after the last accepted one, across restarts.
pub const EVERY: Duration = Duration::from_secs(24 * 3600);
/// The first retry comes after about this long, each further one after twice as long.
const RETRY_FIRST: i64 = 5 * 60;
/// No retry waits longer: the day has several.
const RETRY_LONGEST: i64 = 4 * 3600;

/// What the schedule rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// When this core started.
    pub started: i64,
    /// When a heartbeat was last accepted, by this core or one before it; 0 for never.
    pub last_accepted: i64,
    /// Failed attempts since then.
    pub failures: u32,
    /// When the last of them was made; 0 for none.
    pub last_failure: i64,
}

/// How long to wait from `now` on. `jitter` is random, from 0.0 to 1.0, and spreads retries of many installations.
pub fn wait(progress: &Progress, now: i64, jitter: f64) -> Duration {
    let first = after(progress.started, FIRST_AFTER);
    let daily = match progress.last_accepted {
        0 => first,
        // An acceptance in the future is a clock that was wrong: it must not silence this installation for years.
        accepted if accepted > now => first,
        accepted => after(accepted, EVERY),
    };
    let retry = match progress.failures {
        0 => i64::MIN,
        failures => progress.last_failure.saturating_add(back_off(failures, jitter)),
    };
    let due = first.max(daily).max(retry);
    // Whatever the clocks say, the wait is never longer than the longest one that can be meant.
    let longest = i64::try_from(EVERY.as_secs()).unwrap_or(i64::MAX);
    Duration::from_secs(due.saturating_sub(now).clamp(0, longest).unsigned_abs())
}

fn after(moment: i64, pause: Duration) -> i64 {
    moment.saturating_add(i64::try_from(pause.as_secs()).unwrap_or(i64::MAX))
}

/// Between half of the doubled time and all of it.
fn back_off(failures: u32, jitter: f64) -> i64 {
    let full = RETRY_FIRST.saturating_mul(1 << (failures.saturating_sub(1)).min(16)).min(RETRY_LONGEST);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, reason = "at most four hours in seconds")]
    let part = (jitter * (full / 2) as f64) as i64;
    full / 2 + part
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;
    const FRESH: Progress = Progress {
        started: START,
        last_accepted: 0,
        failures: 0,
        last_failure: 0,
    };

    fn seconds(progress: &Progress, now: i64) -> u64 {
        wait(progress, now, 1.0).as_secs()
    }

    #[test]
    fn the_first_goes_five_minutes_after_start() {
        assert_eq!(seconds(&FRESH, START), 300);
        assert_eq!(seconds(&FRESH, START + 299), 1);
        assert_eq!(seconds(&FRESH, START + 301), 0);
    }

    #[test]
    fn the_next_goes_a_day_after_the_last_accepted_one_across_restarts() {
        let told = Progress {
            last_accepted: START - 3600,
            ..FRESH
        };
        assert_eq!(seconds(&told, START), 23 * 3600);
        let long_ago = Progress {
            last_accepted: START - 30 * 86_400,
            ..FRESH
        };
        assert_eq!(seconds(&long_ago, START), 300, "a restart still waits its five minutes");
    }

    #[test]
    fn a_failure_is_retried_within_the_day_later_each_time() {
        let mut waits = Vec::new();
        for failures in 1..10 {
            let failed = Progress {
                failures,
                last_failure: START + 300,
                ..FRESH
            };
            let (early, late) = (wait(&failed, START + 300, 0.0), wait(&failed, START + 300, 1.0));
            assert!(early * 2 >= late && early <= late);
            waits.push(late.as_secs());
        }
        assert!(waits.is_sorted() && waits.first() == Some(&300) && waits.last() == Some(&14_400), "{waits:?}");
    }

    #[test]
    fn a_clock_that_jumps_neither_floods_nor_silences() {
        let future = Progress {
            last_accepted: START + 10 * 365 * 86_400,
            ..FRESH
        };
        assert_eq!(seconds(&future, START), 300);
        let odd = Progress {
            started: i64::MAX,
            last_accepted: i64::MIN,
            failures: u32::MAX,
            last_failure: i64::MAX,
        };
        assert!(wait(&odd, i64::MIN, f64::NAN) <= EVERY);
    }
}
