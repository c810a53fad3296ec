//! Shared state of the running service: how far the journal and the database are, and what failed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::collector::store::Position;

/// Locks; a panic of another holder does not spread.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same for reading.
pub fn read_locked<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// The same for writing.
pub fn write_locked<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Default)]
struct Known {
    written: Position,
    closed: bool,
    journal: Option<String>,
    database: Option<String>,
}

/// How far the journal and the database are.
pub struct Progress {
    known: Mutex<Known>,
    more: Condvar,
    stored: watch::Sender<Position>,
}

impl Progress {
    /// The database has everything up to `stored`; the journal has everything up to `written`.
    pub fn new(stored: Position, written: Position) -> Progress {
        Progress {
            known: Mutex::new(Known {
                written,
                ..Known::default()
            }),
            more: Condvar::new(),
            stored: watch::Sender::new(stored),
        }
    }

    /// The journal has everything up to here.
    pub fn written(&self, position: Position) {
        let mut known = locked(&self.known);
        known.written = position;
        known.journal = None;
        self.more.notify_all();
    }

    /// No more will be written.
    pub fn close(&self) {
        locked(&self.known).closed = true;
        self.more.notify_all();
    }

    /// Whether no more will be written.
    pub fn is_closed(&self) -> bool {
        locked(&self.known).closed
    }

    /// The journal could not be written.
    pub fn journal_failed(&self, error: String) {
        locked(&self.known).journal = Some(error);
    }

    /// The database could not be written.
    pub fn database_failed(&self, error: String) {
        let mut known = locked(&self.known);
        if known.database.is_none() {
            tracing::error!("could not write to the database: {error}");
        }
        known.database = Some(error);
    }

    /// The database has everything up to here.
    pub fn stored_up_to(&self, position: Position) {
        let before = locked(&self.known).database.take();
        if before.is_some() {
            tracing::info!("the database can be written again");
        }
        self.stored.send_replace(position);
    }

    /// How far the database is.
    pub fn stored(&self) -> Position {
        *self.stored.borrow()
    }

    /// Why nothing can be accepted now: the database fails, or the journal does.
    pub fn failure(&self) -> Option<String> {
        let known = locked(&self.known);
        let database = known.database.as_ref().map(|error| format!("could not write to the database: {error}"));
        database.or_else(|| known.journal.as_ref().map(|error| format!("could not write the journal: {error}")))
    }

    /// Whether the database fails.
    pub fn is_database_down(&self) -> bool {
        locked(&self.known).database.is_some()
    }

    /// Waits until the journal goes beyond a position; its end, or `None` when it is closed and goes no further.
    pub fn wait_for_more(&self, at: Position) -> Option<Position> {
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

    /// Waits a moment, so that the next batch has more in it; less when the journal is closed.
    pub fn pause(&self, wait: Duration) {
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
    pub fn end(&self) -> Position {
        locked(&self.known).written
    }

    /// Waits until the database has everything up to a position.
    pub async fn until_stored(&self, position: Position) {
        let mut stored = self.stored.subscribe();
        // The sender lives as long as `self`.
        let _ = stored.wait_for(|stored| *stored >= position).await;
    }
}
