//! Limits what one server may send to every session: messages and bytes per second, after an allowed burst.
//!
//! Each log message goes to every session and every caller, so a server that floods MCPProxy would delay all others. The
//! protocol asks for such a limit.

use std::time::Duration;

use tokio::time::Instant;

/// How often a dropped message is reported.
const REPORT_AGAIN: Duration = Duration::from_secs(10);

/// Whether a message passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Pass,
    Drop {
        /// Report that messages are dropped.
        report: bool,
    },
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    burst: f64,
    per_second: f64,
    /// The rest of the budget, and its time.
    left: Option<(f64, Instant)>,
}

impl Bucket {
    fn available(&self, now: Instant) -> f64 {
        self.left.map_or(self.burst, |(left, since)| {
            // Not `mul_add`: without hardware support for it the program would need libm.
            let gained = self.per_second * now.saturating_duration_since(since).as_secs_f64();
            self.burst.min(left + gained)
        })
    }
}

/// The limit for one kind of message of one server.
#[derive(Debug)]
pub struct RateLimit {
    messages: Bucket,
    bytes: Bucket,
    reported: Option<Instant>,
}

impl RateLimit {
    /// Allows this many messages and bytes at once, and this many per second.
    pub fn new(messages: (f64, f64), bytes: (f64, f64)) -> RateLimit {
        let bucket = |(burst, per_second)| Bucket {
            burst,
            per_second,
            left: None,
        };
        RateLimit {
            messages: bucket(messages),
            bytes: bucket(bytes),
            reported: None,
        }
    }

    /// For log messages: 200 at once and 20 per second, 1 MiB at once and 128 KiB per second.
    pub fn for_logs() -> RateLimit {
        RateLimit::new((200.0, 20.0), (f64::from(1 << 20), f64::from(128 << 10)))
    }

    /// For progress: a call may report it often, but with little text.
    pub fn for_progress() -> RateLimit {
        RateLimit::new((2000.0, 500.0), (f64::from(1 << 20), f64::from(256 << 10)))
    }

    /// For warnings about one server in our own log.
    pub fn for_warnings() -> RateLimit {
        RateLimit::new((20.0, 0.2), (f64::from(64 << 10), 1024.0))
    }

    /// Decides on a message of so many bytes that arrives now.
    #[expect(clippy::cast_precision_loss, reason = "a message is far shorter than 2^52 bytes")]
    pub fn take(&mut self, now: Instant, bytes: usize) -> Decision {
        let (messages, available) = (self.messages.available(now), self.bytes.available(now));
        let cost = bytes as f64;
        let passes = messages >= 1.0 && available >= cost;
        let (spent, spent_bytes) = if passes { (1.0, cost) } else { (0.0, 0.0) };
        self.messages.left = Some((messages - spent, now));
        self.bytes.left = Some((available - spent_bytes, now));
        if passes {
            return Decision::Pass;
        }
        let report = self.reported.is_none_or(|reported| now.saturating_duration_since(reported) >= REPORT_AGAIN);
        if report {
            self.reported = Some(now);
        }
        Decision::Drop { report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limit: &mut RateLimit, count: usize, bytes: usize, at: Instant) -> usize {
        (0..count).filter(|_| limit.take(at, bytes) == Decision::Pass).count()
    }

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let (mut limit, start) = (RateLimit::for_logs(), Instant::now());
        assert_eq!(passed(&mut limit, 1000, 100, start), 200);
        assert_eq!(passed(&mut limit, 1000, 100, start + Duration::from_secs(1)), 20);
    }

    #[test]
    fn few_but_large_messages_are_a_flood_too() {
        let (mut limit, start) = (RateLimit::for_logs(), Instant::now());
        assert_eq!(passed(&mut limit, 100, 4 << 20, start), 0);
        assert_eq!(passed(&mut limit, 100, 64 << 10, start), 16);
        assert_eq!(passed(&mut limit, 100, 64 << 10, start + Duration::from_secs(1)), 2);
    }

    #[test]
    fn dropping_is_reported_at_once_and_then_every_10_seconds() {
        let (mut limit, start) = (RateLimit::for_logs(), Instant::now());
        let mut reports = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..300).filter(|_| limit.take(now, 100) == Decision::Drop { report: true }).count()
        };
        assert_eq!([0, 1, 9, 10, 11, 19, 20].map(&mut reports), [1, 0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn a_quiet_server_is_never_limited() {
        let (mut limit, start) = (RateLimit::for_logs(), Instant::now());
        let slow = (0..10_000).map(|n| limit.take(start + Duration::from_millis(51 * n), 100));
        assert!(slow.into_iter().all(|decision| decision == Decision::Pass));
    }
}
