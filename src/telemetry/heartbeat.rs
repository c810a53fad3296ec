//! Decides when the next report is due: one per UTC day with activity. A pure function of times in Unix seconds.
//!
//! The collector counts the UTC day on which it receives a report. A fixed interval of 24 hours would skip days of
//! users who start later each day, so the schedule follows the day and not the interval.

use std::time::Duration;

/// Delay between the first activity of a day and its report. A start that ends immediately is not worth reporting.
pub const AFTER_ACTIVITY: Duration = Duration::from_secs(60);
/// Approximate delay of the first retry. Each further one takes twice as long.
const RETRY_FIRST: i64 = 60;
/// Maximum delay of a retry: a day must allow many.
const RETRY_LONGEST: i64 = 3600;

/// The inputs of the schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The first activity since the last accepted report, or on this day: the start or the use of the core.
    pub active_since: Option<i64>,
    /// When a report was last accepted, by this core or an earlier one; 0 for never.
    pub last_accepted: i64,
    /// Failed attempts since then.
    pub failures: u32,
    /// Time of the last failed attempt; 0 for none.
    pub last_failure: i64,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send after this time, unless the UTC day has changed by then.
    Send(Duration),
    /// Nothing is due until the user is active on a day without a report.
    Activity,
}

/// The next step at `now`. `jitter` is a random number from 0.0 to 1.0 that spreads the retries of many installations.
pub fn next(progress: &Progress, now: i64, jitter: f64) -> Next {
    let Some(since) = progress.active_since.map(|since| since.min(now)) else {
        return Next::Activity;
    };
    if day(since) != day(now) || is_reported(progress, now) {
        return Next::Activity;
    }
    let first = since.saturating_add(i64::try_from(AFTER_ACTIVITY.as_secs()).unwrap_or(i64::MAX));
    let retry = match progress.failures {
        0 => i64::MIN,
        // A failure in the future comes from a wrong clock: it must not delay the report for years.
        failures => progress.last_failure.min(now).saturating_add(back_off(failures, jitter)),
    };
    Next::Send(Duration::from_secs(first.max(retry).saturating_sub(now).max(0).unsigned_abs()))
}

/// Whether a report was accepted on the UTC day of `now`. A time in the future comes from a wrong clock and does not
/// count.
pub fn is_reported(progress: &Progress, now: i64) -> bool {
    progress.last_accepted > 0 && progress.last_accepted <= now && day(progress.last_accepted) == day(now)
}

/// The number of the UTC day since 1970.
pub fn day(moment: i64) -> i64 {
    moment.div_euclid(86_400)
}

/// Between half and all of the doubled delay.
fn back_off(failures: u32, jitter: f64) -> i64 {
    let full = RETRY_FIRST.saturating_mul(1 << (failures.saturating_sub(1)).min(16)).min(RETRY_LONGEST);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, reason = "at most an hour in seconds")]
    let part = (jitter * (full / 2) as f64) as i64;
    full / 2 + part
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MIDNIGHT: i64 = 20_000 * 86_400;
    const START: i64 = MIDNIGHT + 9 * 3600;
    const STARTED: Progress = Progress {
        active_since: Some(START),
        last_accepted: 0,
        failures: 0,
        last_failure: 0,
    };

    #[test]
    fn the_first_report_is_sent_a_minute_after_the_first_activity() {
        assert_eq!(next(&STARTED, START, 1.0), Next::Send(Duration::from_secs(60)));
        assert_eq!(next(&STARTED, START + 59, 1.0), Next::Send(Duration::from_secs(1)));
        assert_eq!(next(&STARTED, START + 500, 1.0), Next::Send(Duration::ZERO));
        assert_eq!(next(&Progress::default(), START, 1.0), Next::Activity);
    }

    #[test]
    fn a_day_has_one_report_and_the_next_day_with_activity_another() {
        let accepted = Progress {
            last_accepted: START + 60,
            ..STARTED
        };
        assert_eq!(next(&accepted, START + 61, 1.0), Next::Activity, "also after a restart on this day");
        assert_eq!(
            next(&accepted, MIDNIGHT + 86_400 + 5, 1.0),
            Next::Activity,
            "an idle night does not count as activity"
        );
        let used = Progress {
            active_since: Some(MIDNIGHT + 86_400 + 1),
            ..accepted
        };
        assert_eq!(next(&used, MIDNIGHT + 86_400 + 1, 1.0), Next::Send(AFTER_ACTIVITY), "far less than 24 h later");
    }

    #[test]
    fn a_failure_is_retried_within_the_day_later_each_time() {
        let mut waits = Vec::new();
        for failures in 1..10 {
            let failed = Progress {
                failures,
                last_failure: START + 300,
                ..STARTED
            };
            let wait = |jitter| match next(&failed, START + 300, jitter) {
                Next::Send(wait) => wait,
                Next::Activity => panic!("it is due"),
            };
            let (early, late) = (wait(0.0), wait(1.0));
            assert!(early * 2 >= late && early <= late);
            waits.push(late.as_secs());
        }
        assert!(waits.is_sorted() && waits.first() == Some(&60) && waits.last() == Some(&3600), "{waits:?}");
    }

    #[test]
    fn a_clock_that_jumps_causes_neither_extra_nor_missing_reports() {
        let future = Progress {
            last_accepted: START + 10 * 365 * 86_400,
            ..STARTED
        };
        assert_eq!(next(&future, START, 1.0), Next::Send(AFTER_ACTIVITY));
        let odd = Progress {
            active_since: Some(i64::MAX),
            last_accepted: i64::MIN,
            failures: u32::MAX,
            last_failure: i64::MAX,
        };
        let Next::Send(wait) = next(&odd, START, f64::NAN) else { panic!("it is due") };
        assert!(wait.as_secs() <= RETRY_LONGEST.unsigned_abs());
        let _ = next(&odd, i64::MIN, f64::NAN);
    }

    /// A computer that is on from `start` to `end`, used from time to time, and asleep in between.
    struct Session {
        start: i64,
        end: i64,
        uses: Vec<i64>,
        sleeps: Vec<(i64, i64)>,
    }

    impl Session {
        /// When a timer for `moment` ends: a sleeping computer notices it only when it wakes up.
        fn awake_at(&self, moment: i64) -> i64 {
            let asleep = self.sleeps.iter().find(|(start, end)| (*start..*end).contains(&moment));
            asleep.map_or(moment, |(_, end)| *end)
        }
    }

    /// Runs the schedule as the sending loop does, with one attempt in eight failing. Returns the days with an accepted
    /// report and the number of accepted reports.
    fn simulate(sessions: &[Session], mut random: impl FnMut() -> u64) -> (BTreeSet<i64>, usize) {
        let (mut days, mut accepted, mut last_accepted) = (BTreeSet::new(), 0, 0);
        for session in sessions {
            let mut progress = Progress {
                active_since: Some(session.start),
                last_accepted,
                ..Progress::default()
            };
            let mut now = session.start;
            while now < session.end {
                match next(&progress, now, 1.0) {
                    Next::Send(wait) if wait.is_zero() => {
                        if random().is_multiple_of(8) {
                            progress.failures += 1;
                            progress.last_failure = now;
                        } else {
                            last_accepted = now;
                            progress = Progress {
                                active_since: None,
                                last_accepted,
                                ..Progress::default()
                            };
                            days.insert(day(now));
                            accepted += 1;
                        }
                    }
                    Next::Send(wait) => now = session.awake_at(now + i64::try_from(wait.as_secs()).unwrap()),
                    Next::Activity => {
                        let Some(used) = session.uses.iter().copied().find(|used| *used > now) else { break };
                        now = used;
                        if !is_reported(&progress, now) {
                            progress.active_since = Some(now);
                        }
                    }
                }
            }
        }
        (days, accepted)
    }

    #[test]
    fn at_least_99_of_100_active_days_are_seen_once() {
        let mut state = 42_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut at = |low: i64, high: i64| low + i64::try_from(random()).unwrap() % (high - low);
        let (mut short, mut brief, mut office, mut laptop) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in 0..400 {
            let midnight = MIDNIGHT + number * 86_400;
            // Twenty minutes to two hours, at any time of the day.
            let start = midnight + at(0, 78_000);
            short.push(Session {
                start,
                end: start + at(1200, 7200),
                uses: vec![start + 30],
                sleeps: Vec::new(),
            });
            // Five to ten minutes, three times a day.
            for hour in [8, 13, 19] {
                let start = midnight + hour * 3600 + at(0, 3600);
                brief.push(Session {
                    start,
                    end: start + at(300, 600),
                    uses: vec![start + 30],
                    sleeps: Vec::new(),
                });
            }
            // Nine to five, a little earlier or later each day.
            let start = midnight + at(8 * 3600, 10 * 3600);
            office.push(Session {
                start,
                end: start + 8 * 3600,
                uses: vec![start + 10, start + 3600],
                sleeps: Vec::new(),
            });
        }
        // A laptop that is always on and used at varying hours. It sleeps a few minutes after each use, until the next one.
        let uses: Vec<i64> =
            (0..400).flat_map(|number| [number * 86_400 + 7 * 3600, number * 86_400 + 20 * 3600]).collect();
        let uses: Vec<i64> = uses.into_iter().map(|second| MIDNIGHT + second + at(0, 7200)).collect();
        let sleeps = uses.windows(2).map(|pair| (pair[0] + at(240, 900), pair[1])).collect();
        laptop.push(Session {
            start: MIDNIGHT + 60,
            end: MIDNIGHT + 400 * 86_400,
            uses,
            sleeps,
        });
        for (name, sessions) in [
            ("short", &short),
            ("brief", &brief),
            ("office", &office),
            ("laptop", &laptop),
        ] {
            let active: BTreeSet<i64> =
                sessions.iter().flat_map(|session| session.uses.iter().map(|used| day(*used))).collect();
            let mut state = 7_u64;
            let failing = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 40
            };
            let (days, accepted) = simulate(sessions, failing);
            let seen = active.intersection(&days).count();
            assert!(seen * 100 >= active.len() * 99, "{name}: {seen} of {}", active.len());
            assert_eq!(days.len(), accepted, "{name}: at most one a day");
        }
    }
}
