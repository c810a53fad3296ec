//! Shared state of the running service: the positions of journal and database, and their errors.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::collector::store::Position;

/// Locks. Ignores the panic of another holder.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`locked`], for reading.
pub(super) fn read_locked<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`locked`], for writing.
pub(super) fn write_locked<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Default)]
struct Known {
    written: Position,
    closed: bool,
    journal: Option<String>,
    database: Option<String>,
}

/// The positions of journal and database.
pub(super) struct Progress {
    known: Mutex<Known>,
    more: Condvar,
    stored: watch::Sender<Position>,
}

impl Progress {
    /// The database has everything up to `stored`; the journal has everything up to `written`.
    pub(super) fn new(stored: Position, written: Position) -> Progress {
        Progress {
            known: Mutex::new(Known {
                written,
                ..Known::default()
            }),
            more: Condvar::new(),
            stored: watch::Sender::new(stored),
        }
    }

    /// Sets the end of the journal.
    pub(super) fn written(&self, position: Position) {
        let mut known = locked(&self.known);
        known.written = position;
        known.journal = None;
        self.more.notify_all();
    }

    /// Marks the journal as closed.
    pub(super) fn close(&self) {
        locked(&self.known).closed = true;
        self.more.notify_all();
    }

    /// Whether the journal is closed.
    pub(super) fn is_closed(&self) -> bool {
        locked(&self.known).closed
    }

    /// Records an error of the journal.
    pub(super) fn journal_failed(&self, error: String) {
        locked(&self.known).journal = Some(error);
    }

    /// Records an error of the database.
    pub(super) fn database_failed(&self, error: String) {
        let mut known = locked(&self.known);
        if known.database.is_none() {
            tracing::error!("could not write to the database: {error}");
        }
        known.database = Some(error);
    }

    /// Sets the position of the database.
    pub(super) fn stored_up_to(&self, position: Position) {
        let before = locked(&self.known).database.take();
        if before.is_some() {
            tracing::info!("writing to the database works again");
        }
        self.stored.send_replace(position);
    }

    /// The position of the database.
    pub(super) fn stored(&self) -> Position {
        *self.stored.borrow()
    }

    /// Why the collector cannot accept reports now: an error of the database or the journal.
    pub(super) fn failure(&self) -> Option<String> {
        let known = locked(&self.known);
        let database = known.database.as_ref().map(|error| format!("could not write to the database: {error}"));
        database.or_else(|| known.journal.as_ref().map(|error| format!("could not write the journal: {error}")))
    }

    /// Whether the database fails.
    pub(super) fn is_database_down(&self) -> bool {
        locked(&self.known).database.is_some()
    }

    /// Waits until the journal goes beyond a position. Returns its end, or `None` if it is closed at that position.
    pub(super) fn wait_for_more(&self, at: Position) -> Option<Position> {
        let mut known = locked(&self.known);
        loop {
            if known.written > at {
                return Some(known.written);
            }
            if known.closed {
                return None;
            }
            known = self.more.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits briefly to collect a larger batch; returns early if the journal is closed.
    pub(super) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut known = locked(&self.known);
        while !known.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            known = self.more.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The end of the journal.
    pub(super) fn end(&self) -> Position {
        locked(&self.known).written
    }

    /// Waits until the database has everything up to a position.
    pub(super) async fn until_stored(&self, position: Position) {
        let mut stored = self.stored.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = stored.wait_for(|stored| *stored >= position).await;
    }
}
