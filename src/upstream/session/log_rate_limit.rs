//! How many log messages of one server are passed on: as many as anybody reads.
//!
//! Each is told to every session and every caller, so that a server which floods us with them would keep all others
//! waiting. The protocol asks for such a limit.

use std::time::Duration;

use tokio::time::Instant;

/// Messages that may come at once.
const BURST: f64 = 200.0;
/// Messages a second, for as long as the server likes.
const RATE: f64 = 20.0;
/// How often it is said that some are left out.
const SAID_AGAIN: Duration = Duration::from_secs(10);

/// What becomes of a log message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    LeaveOut {
        /// That messages are left out is to be said in its place.
        say: bool,
    },
}

/// The limit for one server.
#[derive(Debug, Default)]
pub struct LogRateLimit {
    /// How many are left, and of when that is.
    left: Option<(f64, Instant)>,
    said: Option<Instant>,
}

impl LogRateLimit {
    /// Decides on a message that comes now.
    pub fn take(&mut self, now: Instant) -> Verdict {
        let left = self.left.map_or(BURST, |(left, of)| {
            // Not by `mul_add`: where the processor has no such instruction, that asks the system for a library more.
            let gained = RATE * now.saturating_duration_since(of).as_secs_f64();
            BURST.min(left + gained)
        });
        if left >= 1.0 {
            self.left = Some((left - 1.0, now));
            return Verdict::Pass;
        }
        self.left = Some((left, now));
        let say = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_AGAIN);
        if say {
            self.said = Some(now);
        }
        Verdict::LeaveOut { say }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limit: &mut LogRateLimit, count: usize, at: Instant) -> usize {
        (0..count).filter(|_| limit.take(at) == Verdict::Pass).count()
    }

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let (mut limit, start) = (LogRateLimit::default(), Instant::now());
        assert_eq!(passed(&mut limit, 1000, start), 200);
        assert_eq!(passed(&mut limit, 1000, start + Duration::from_secs(1)), 20);
    }

    #[test]
    fn that_some_are_left_out_is_said_at_once_and_then_now_and_then() {
        let (mut limit, start) = (LogRateLimit::default(), Instant::now());
        let mut said = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..300).filter(|_| limit.take(now) == Verdict::LeaveOut { say: true }).count()
        };
        assert_eq!([0, 1, 9, 10, 11, 19, 20].map(&mut said), [1, 0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn a_server_that_says_little_is_never_limited() {
        let (mut limit, start) = (LogRateLimit::default(), Instant::now());
        let slow = (0..10_000).map(|n| limit.take(start + Duration::from_millis(51 * n)));
        assert!(slow.into_iter().all(|verdict| verdict == Verdict::Pass));
    }
}
