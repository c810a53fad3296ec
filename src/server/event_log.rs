//! Numbered recent events of `/events`, so that a client can get the events that it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Maximum number of stored events.
const MOST: usize = 512;
/// Maximum total size of stored events, in bytes.
const MOST_BYTES: usize = 2 << 20;

/// One event for all clients of `/events`.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    number: u64,
    pub name: &'static str,
    /// JSON on one line.
    pub data: String,
}

/// The events since this core started.
pub struct EventLog {
    /// Unique ID of this process; distinguishes its event IDs from those of other processes.
    run: String,
    kept: Mutex<VecDeque<Arc<Told>>>,
    newest: watch::Sender<u64>,
}

impl EventLog {
    /// Creates an empty log. `run` must be unique for each process.
    pub fn of_run(run: String) -> EventLog {
        EventLog {
            run,
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// Adds an event, and drops the oldest ones if there are too many.
    pub fn tell(&self, name: &'static str, data: String) {
        let mut kept = self.kept();
        let number = *self.newest.borrow() + 1;
        kept.push_back(Arc::new(Told { number, name, data }));
        let mut bytes: usize = kept.iter().map(|told| told.data.len()).sum();
        while kept.len() > MOST || (bytes > MOST_BYTES && kept.len() > 1) {
            bytes -= kept.pop_front().map_or(0, |told| told.data.len());
        }
        drop(kept);
        self.newest.send_replace(number);
    }

    /// Returns a receiver of the newest event's number.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Returns the event after this number; `None` if there is none yet.
    ///
    /// # Errors
    /// The event was dropped.
    pub fn after(&self, number: u64) -> Result<Option<Arc<Told>>, Forgotten> {
        let kept = self.kept();
        let Some(oldest) = kept.front() else { return Ok(None) };
        let Some(skipped) = (number + 1).checked_sub(oldest.number) else {
            return Err(Forgotten);
        };
        Ok(usize::try_from(skipped).ok().and_then(|skipped| kept.get(skipped)).cloned())
    }

    /// Returns the ID of the event with this number.
    pub fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Returns the number of an event ID; `None` if another process sent the event.
    pub fn number(&self, id: &str) -> Option<u64> {
        let number = id.strip_prefix(&self.run)?.strip_prefix('-')?;
        number.parse().ok().filter(|number| *number <= *self.newest.borrow())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Told>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next event was dropped, so the client must get the complete state.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgotten;

impl Told {
    /// Returns the event's number in this process, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(log: &EventLog, after: u64) -> Vec<String> {
        let mut at = after;
        let next = || {
            let told = log.after(at).ok()??;
            at = told.number();
            Some(told.data.clone())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn whoever_was_away_is_told_what_came_meanwhile_and_nothing_twice() {
        let log = EventLog::of_run("run".to_owned());
        assert_eq!(log.after(0), Ok(None));
        for data in ["a", "b", "c"] {
            log.tell("x", data.to_owned());
        }
        assert_eq!(told(&log, 0), ["a", "b", "c"]);
        assert_eq!(told(&log, 2), ["c"]);
        assert!(told(&log, 3).is_empty());
    }

    #[test]
    fn what_is_too_long_ago_is_said_to_be_forgotten() {
        let log = EventLog::of_run("run".to_owned());
        for number in 0..MOST + 10 {
            log.tell("x", number.to_string());
        }
        assert_eq!(log.after(9), Err(Forgotten));
        assert_eq!(told(&log, 10).len(), MOST);
        log.tell("x", "y".repeat(MOST_BYTES + 1));
        assert_eq!(log.kept().len(), 1, "the newest is kept, however long it is");
    }

    #[test]
    fn ids_of_other_runs_and_of_the_future_are_not_known() {
        let log = EventLog::of_run("run".to_owned());
        log.tell("x", String::new());
        assert_eq!(log.number(&log.id(1)), Some(1));
        assert_eq!(log.number(&log.id(0)), Some(0));
        for id in ["", "run", "ran-1", "run-2", "run--1", "-1", "run-x", "run1"] {
            assert_eq!(log.number(id), None, "{id}");
        }
    }
}
