//! When automatic retries start: a thousand failing servers must not keep the computer busy.
//!
//! A start that a person asks for does not pass here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::os::sync::lock;

/// Time in which one retry begins: each may start a process. A server that fails alone waits for its own pause only.
const SPACING: Duration = Duration::from_millis(100);
/// How many servers that worked are tried again at the same time: a network that comes back brings them all back.
const WORKED: usize = 8;
/// How many others.
const OTHERS: usize = 4;

/// The retries of all servers. Servers that worked do not queue behind those that never did.
#[derive(Debug)]
pub struct Retries {
    began: Instant,
    worked: Lane,
    others: Lane,
}

#[derive(Debug)]
struct Lane {
    slots: Mutex<Slots>,
    permits: Arc<Semaphore>,
}

/// A retry that waits for its turn.
#[derive(Debug)]
pub struct Retry {
    at: Instant,
    permits: Arc<Semaphore>,
}

impl Default for Retries {
    fn default() -> Retries {
        Retries {
            began: Instant::now(),
            worked: Lane::new(WORKED),
            others: Lane::new(OTHERS),
        }
    }
}

impl Retries {
    /// Plans a retry after this pause, or later if others are before it.
    pub fn plan(&self, has_worked: bool, pause: Duration) -> Retry {
        let lane = if has_worked { &self.worked } else { &self.others };
        let now = self.began.elapsed();
        let due = now + pause;
        let slot = lock(&lane.slots).take(slot_of(now), slot_of(due));
        let begins = SPACING.saturating_mul(u32::try_from(slot).unwrap_or(u32::MAX));
        Retry {
            at: self.began + due.max(begins),
            permits: lane.permits.clone(),
        }
    }
}

impl Lane {
    fn new(permits: usize) -> Lane {
        Lane {
            slots: Mutex::default(),
            permits: Arc::new(Semaphore::new(permits)),
        }
    }
}

impl Retry {
    /// How long it waits, if others end soon.
    pub fn pause(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Waits for its turn, which lasts until the permit is dropped.
    pub async fn turn(self) -> Option<OwnedSemaphorePermit> {
        tokio::time::sleep_until(self.at).await;
        // It is never closed.
        self.permits.acquire_owned().await.ok()
    }
}

/// The number of the slot that contains this time.
fn slot_of(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / SPACING.as_millis()).unwrap_or(u64::MAX)
}

/// The slots that are taken; one retry begins in each.
#[derive(Debug, Default)]
struct Slots(BTreeSet<u64>);

impl Slots {
    /// Takes the first free slot that is not before `due`, and forgets those before `now`.
    fn take(&mut self, now: u64, due: u64) -> u64 {
        self.0 = self.0.split_off(&now);
        let mut free = due;
        for taken in self.0.range(due..) {
            if *taken != free {
                break;
            }
            free = free.saturating_add(1);
        }
        self.0.insert(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_retry_takes_each_slot_and_a_later_one_delays_no_earlier_one() {
        let mut slots = Slots::default();
        assert_eq!(
            [
                slots.take(0, 600),
                slots.take(0, 10),
                slots.take(0, 10),
                slots.take(0, 10)
            ],
            [600, 10, 11, 12]
        );
        assert_eq!(
            [
                slots.take(0, 9),
                slots.take(0, 9),
                slots.take(0, 599),
                slots.take(0, 599)
            ],
            [9, 13, 599, 601]
        );
        assert_eq!((slots.take(13, 13), slots.0.len()), (14, 5), "slots in the past are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_failing_servers_are_tried_ten_times_a_second_and_delay_none_that_worked() {
        let retries = Retries::default();
        let pauses: Vec<Duration> = (0..1000).map(|_| retries.plan(false, Duration::from_secs(1)).pause()).collect();
        let within = |seconds: u64| pauses.iter().filter(|pause| **pause < Duration::from_secs(seconds)).count();
        assert_eq!([within(1), within(2), within(51), within(101)], [0, 10, 500, 1000]);
        assert_eq!(retries.plan(true, Duration::from_secs(1)).pause(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_few_retries_run_at_the_same_time() {
        let retries = Retries::default();
        let mut running = Vec::new();
        for _ in 0..OTHERS {
            running.push(retries.plan(false, SPACING).turn().await);
        }
        let mut next = std::pin::pin!(retries.plan(false, SPACING).turn());
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut next).await.is_err());
        running.pop();
        assert!(next.await.is_some());
    }
}
