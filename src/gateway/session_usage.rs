//! Records how often and when the sessions of AI clients call tools. Separate from the sessions in memory, which end
//! when idle and continue later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

/// A short digest that tells sessions apart. Another program could join a session with the ID itself.
pub fn session_label(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The usage of one session.
#[derive(Debug, Default)]
pub struct Usage {
    calls: AtomicU64,
    /// The last request, in Unix seconds.
    last: AtomicI64,
}

impl Usage {
    /// Creates the usage of a session that was used before.
    pub fn new(calls: u64, last: i64) -> Usage {
        Usage {
            calls: AtomicU64::new(calls),
            last: AtomicI64::new(last),
        }
    }

    /// Records a tool call.
    pub fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.seen();
    }

    /// Records a request of any kind.
    pub fn seen(&self) {
        self.last.store(crate::os::clock::now().as_second(), Ordering::Relaxed);
    }

    /// Returns the number of tool calls of the session.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns the time of the last request, in Unix seconds.
    pub fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }
}

/// The usage of the stored sessions, by session ID.
#[derive(Debug, Default)]
pub struct SessionUsages(Mutex<HashMap<String, Arc<Usage>>>);

impl SessionUsages {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Usage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts counting for a session.
    pub fn insert(&self, id: &str, usage: Usage) {
        self.all().insert(id.to_owned(), Arc::new(usage));
    }

    /// Removes a session.
    pub fn remove(&self, id: &str) {
        self.all().remove(id);
    }

    /// Returns the usage of a session. A session that is not stored gets a separate count.
    pub fn of(&self, id: &str) -> Arc<Usage> {
        self.all().get(id).cloned().unwrap_or_default()
    }
}
