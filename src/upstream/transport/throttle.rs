//! Reads a server that floods MCPProxy more slowly: one thread serves every client, and none may be kept waiting.

use std::time::Duration;

use tokio::time::Instant;

/// A server that sends this much without a pause is read more slowly.
pub const BURST: usize = 1 << 20;
/// How long a server is read between two rests: at least one chunk.
const SLICE: Duration = Duration::from_micros(50);
/// The rest after bytes in which only the end of a message was searched.
pub const REST: Duration = Duration::from_millis(2);
/// The rest after whole messages, which keep the library busy.
pub const LONG_REST: Duration = Duration::from_millis(50);

/// Decides when to rest while a stream is read.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Bytes read since the server last paused.
    unpaused: usize,
    busy_since: Option<Instant>,
    /// Whole messages were passed on since the last rest.
    passed_on: bool,
    rest_until: Option<Instant>,
}

impl Throttle {
    /// Notes bytes that were read.
    pub fn note_read(&mut self, length: usize) {
        self.unpaused = self.unpaused.saturating_add(length);
        self.busy_since.get_or_insert_with(Instant::now);
    }

    /// Notes a message that was passed on.
    pub fn note_message(&mut self) {
        self.passed_on = true;
    }

    /// Notes that the server has nothing to say at the moment.
    pub fn note_pause(&mut self) {
        (self.unpaused, self.busy_since) = (0, None);
    }

    /// Bytes read since the server last paused.
    pub fn unpaused(&self) -> usize {
        self.unpaused
    }

    /// Rests if the server has sent more than `burst` without a pause. Goes on with the same rest if dropped before its end.
    pub async fn rest(&mut self, burst: usize) {
        if self.rest_until.is_none() {
            if self.unpaused <= burst || self.busy_since.is_none_or(|since| since.elapsed() <= SLICE) {
                return;
            }
            let length = if std::mem::take(&mut self.passed_on) { LONG_REST } else { REST };
            self.rest_until = Some(Instant::now() + length);
        }
        if let Some(until) = self.rest_until {
            tokio::time::sleep_until(until).await;
        }
        self.rest_until = None;
        self.busy_since = None;
    }
}
