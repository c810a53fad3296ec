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
pub struct LoggedEvent {
    number: u64,
    pub name: &'static str,
    /// JSON on one line.
    pub data: String,
}

/// The events since this core started.
pub struct EventLog {
    /// Unique ID of this process; distinguishes its event IDs from those of other processes.
    run: String,
    kept: Mutex<VecDeque<Arc<LoggedEvent>>>,
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
    pub fn add(&self, name: &'static str, data: String) {
        let mut kept = self.kept();
        let number = *self.newest.borrow() + 1;
        kept.push_back(Arc::new(LoggedEvent { number, name, data }));
        let mut bytes: usize = kept.iter().map(|event| event.data.len()).sum();
        while kept.len() > MOST || (bytes > MOST_BYTES && kept.len() > 1) {
            bytes -= kept.pop_front().map_or(0, |event| event.data.len());
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
    pub fn after(&self, number: u64) -> Result<Option<Arc<LoggedEvent>>, EventDropped> {
        let kept = self.kept();
        let Some(oldest) = kept.front() else { return Ok(None) };
        let Some(skipped) = (number + 1).checked_sub(oldest.number) else {
            return Err(EventDropped);
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

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<LoggedEvent>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next event was dropped, so the client must get the complete state.
#[derive(Debug, PartialEq, Eq)]
pub struct EventDropped;

impl LoggedEvent {
    /// Returns the event's number in this process, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(log: &EventLog, after: u64) -> Vec<String> {
        let mut at = after;
        let next = || {
            let event = log.after(at).ok()??;
            at = event.number();
            Some(event.data.clone())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_client_that_was_away_gets_every_missed_event_once() {
        let log = EventLog::of_run("run".to_owned());
        assert_eq!(log.after(0), Ok(None));
        for data in ["a", "b", "c"] {
            log.add("x", data.to_owned());
        }
        assert_eq!(event(&log, 0), ["a", "b", "c"]);
        assert_eq!(event(&log, 2), ["c"]);
        assert!(event(&log, 3).is_empty());
    }

    #[test]
    fn a_dropped_event_is_reported_as_dropped() {
        let log = EventLog::of_run("run".to_owned());
        for number in 0..MOST + 10 {
            log.add("x", number.to_string());
        }
        assert_eq!(log.after(9), Err(EventDropped));
        assert_eq!(event(&log, 10).len(), MOST);
        log.add("x", "y".repeat(MOST_BYTES + 1));
        assert_eq!(log.kept().len(), 1, "the newest is kept, however long it is");
    }

    #[test]
    fn ids_of_other_processes_and_of_future_events_are_unknown() {
        let log = EventLog::of_run("run".to_owned());
        log.add("x", String::new());
        assert_eq!(log.number(&log.id(1)), Some(1));
        assert_eq!(log.number(&log.id(0)), Some(0));
        for id in ["", "run", "ran-1", "run-2", "run--1", "-1", "run-x", "run1"] {
            assert_eq!(log.number(id), None, "{id}");
        }
    }
}
