//! Stores [`Memory`] in the database. Hooks change it in memory and return; a writer thread saves it.
//!
//! A hook takes one short lock and never waits for the disk. A change is durable after the thread's next transaction:
//! immediately for flags, names and marks, within a second for counts, and after [`Recorder::flush`]. Each transaction
//! writes the whole memory, so that a kill leaves either the old or the new one. The writer never resets a flag that is
//! true in the store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redb::Database;

use crate::contract::run_facts::{Activation, LaunchSource};
use crate::os::redb_file::{OpenError, open_store};
use crate::telemetry::store::{InstallerMark, Memory, tables};

/// Cache size. The store has some hundred bytes; a larger cache would only cost memory.
const CACHE_BYTES: usize = 256 * 1024;

/// Minimum interval between two writes of counts: heavy use must not mean heavy disk use.
const COUNTS_EVERY: Duration = Duration::from_secs(1);

/// Delay after a failed transaction, for example on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long the previous writer may take to close the file.
const CLOSING: Duration = Duration::from_secs(5);

/// Why data could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("could not use the store: {0}")]
    Store(String),
    #[error("the store did not finish in time")]
    Timeout,
}

/// The hooks of a running core and the recorded data. While it is off it records nothing and opens no file.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Signals new work to the writer, and completed writes to callers that flush.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None` while telemetry is off: nothing is recorded and no file is open.
    memory: Option<Memory>,
    /// Increases each time the recorder is switched on, so that the previous writer ends.
    generation: u64,
    /// Increases with every change.
    version: u64,
    /// The version that the store contains.
    written: u64,
    /// Whether the next write must not wait for more counts.
    urgent: bool,
    failure: Option<String>,
    /// The writer thread has ended and closed the file.
    closed: bool,
}

impl Recorder {
    /// A recorder for the store at `path`, switched off. Neither opens nor creates the file.
    pub fn new(path: &Path) -> Recorder {
        let state = State {
            closed: true,
            ..State::default()
        };
        Recorder {
            shared: Arc::new(Shared {
                path: path.to_path_buf(),
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    /// Switches on: opens the store and reads its content. `today` is `YYYY-MM-DD`, for the name of a corrupt file.
    /// Does nothing if already on. Not for hot paths.
    ///
    /// Returns the new path of a corrupt store, if there was one.
    ///
    /// # Errors
    /// If the store could not be opened. The recorder then works with defaults and in memory only, so that the core can
    /// continue.
    pub fn switch_on(&self, today: &str) -> Result<Option<PathBuf>, RememberError> {
        {
            let deadline = Instant::now() + CLOSING;
            let mut state = self.lock();
            if state.memory.is_some() {
                return Ok(None);
            }
            // The previous writer may still be closing the file.
            while !state.closed && Instant::now() < deadline {
                state = self.shared.wait(state, deadline.saturating_duration_since(Instant::now()));
            }
        }
        let mut opened = open_store(&self.shared.path, today, CACHE_BYTES).map_err(RememberError::from);
        let mut memory = Memory::default();
        if let Ok(store) = &opened {
            match guarded(|| tables::read(&store.database)) {
                Ok(read) => memory = read,
                Err(reason) => opened = Err(RememberError::Store(reason)),
            }
        }
        let mut state = self.lock();
        if state.memory.is_some() {
            return Ok(None);
        }
        let generation = state.generation + 1;
        *state = State {
            memory: Some(memory),
            generation,
            closed: true,
            ..State::default()
        };
        let store = opened?;
        state.closed = false;
        drop(state);
        let (shared, database) = (Arc::clone(&self.shared), store.database);
        let writer = std::thread::Builder::new().name("telemetry-store".into()).stack_size(512 * 1024);
        if let Err(error) = writer.spawn(move || shared.write_down(generation, database)) {
            self.lock().closed = true;
            return Err(RememberError::Store(error.to_string()));
        }
        Ok(store.set_aside)
    }

    /// Switches off immediately: drops unsaved changes; the writer thread closes the file.
    pub fn switch_off(&self) {
        let mut state = self.lock();
        state.memory = None;
        state.generation += 1;
        self.shared.changed.notify_all();
    }

    pub fn is_on(&self) -> bool {
        self.lock().memory.is_some()
    }

    /// Records that an upstream server has connected.
    pub fn server_connected(&self) {
        self.note(true, |memory| !std::mem::replace(&mut memory.connected_server, true));
    }

    /// Records that an MCP client has connected, through `initialize` or a request's `_meta`, with its name if it sent
    /// one.
    pub fn client_seen(&self, name: Option<&str>) {
        self.note(true, |memory| memory.note_client(name));
    }

    /// Records a call of `retrieve_tools`. `now` is in Unix seconds.
    pub fn retrieve_tools_called(&self, now: i64) {
        let mut first = false;
        self.note_with(|memory| {
            first = !std::mem::replace(&mut memory.retrieve_tools_call, true);
            memory.retrieve_tools_calls.add(1, now);
            (true, first)
        });
    }

    /// Records that `retrieve_tools` returned `returned` of `indexed` tools. `now` is in Unix seconds.
    pub fn tools_returned(&self, indexed: u64, returned: u64, now: i64) {
        let saved = crate::telemetry::store::tokens_saved(indexed, returned);
        self.note(false, |memory| {
            memory.tokens_saved.add(saved, now);
            saved > 0
        });
    }

    /// Records how many AI clients on this computer are configured for this proxy.
    pub fn ides_configured(&self, count: u32) {
        self.note(false, |memory| std::mem::replace(&mut memory.configured_ides, count) != count);
    }

    /// Merges the data of another core for this installation: adds its flags and removes none of ours.
    pub fn carry_over(&self, other: &Memory) {
        self.note(true, |memory| memory.carry_over(other));
    }

    /// Records that an installer started the tray that started this core. Set once per installation.
    pub fn installer_started_us(&self) {
        self.note(true, |memory| {
            let first = memory.installer == InstallerMark::None;
            memory.installer = memory.installer.max(InstallerMark::Pending);
            first
        });
    }

    /// Records an accepted heartbeat at `now` (Unix seconds). `source` is the launch source in it.
    pub fn heartbeat_accepted(&self, source: LaunchSource, now: i64) {
        self.note(true, |memory| {
            if source == LaunchSource::Installer {
                memory.installer = InstallerMark::Reported;
            }
            memory.last_accepted = now;
            memory.blocked_in_a_row = 0;
            true
        });
    }

    /// Records that the anonymity scan blocked a heartbeat.
    pub fn heartbeat_blocked(&self) {
        self.note(true, |memory| {
            memory.anonymity_violations = memory.anonymity_violations.saturating_add(1);
            memory.blocked_in_a_row = memory.blocked_in_a_row.saturating_add(1);
            true
        });
    }

    /// The activation state at `now` (Unix seconds); the default while off. Changes nothing.
    pub fn activation(&self, now: i64) -> Activation {
        self.lock().memory.as_ref().map(|memory| memory.activation(now)).unwrap_or_default()
    }

    /// Everything stored; `None` while off.
    pub fn memory(&self) -> Option<Memory> {
        self.lock().memory.clone()
    }

    /// Waits until all changes so far are durable, at most for `limit`.
    ///
    /// # Errors
    /// If there is no store, a write fails, or the time is up.
    pub fn flush(&self, limit: Duration) -> Result<(), RememberError> {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        let (wanted, generation) = (state.version, state.generation);
        state.urgent = true;
        self.shared.changed.notify_all();
        loop {
            if state.generation != generation || state.memory.is_none() || state.written >= wanted {
                return Ok(());
            }
            if let Some(reason) = &state.failure {
                return Err(RememberError::Store(reason.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed {
                return Err(RememberError::Store("the store is not open".into()));
            }
            if left.is_zero() {
                return Err(RememberError::Timeout);
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Flushes, switches off, and waits at most `limit` until the file is closed. Then another process may open it.
    pub fn close(&self, limit: Duration) {
        if let Err(error) = self.flush(limit) {
            tracing::warn!(%error, "could not save all telemetry data");
        }
        self.switch_off();
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !state.closed && Instant::now() < deadline {
            state = self.shared.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn note(&self, urgent: bool, change: impl FnOnce(&mut Memory) -> bool) {
        self.note_with(|memory| (change(memory), urgent));
    }

    /// Applies a change that returns whether it changed anything and whether that is urgent.
    fn note_with(&self, change: impl FnOnce(&mut Memory) -> (bool, bool)) {
        let mut state = self.lock();
        let Some(memory) = &mut state.memory else { return };
        let (changed, urgent) = change(memory);
        if changed {
            let idle = state.written == state.version;
            state.version += 1;
            state.urgent |= urgent;
            // A writer that already waits for more counts need not be woken again.
            if idle || urgent {
                self.shared.changed.notify_all();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the memory in an inconsistent state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The writer thread: one transaction for all changes at a time, until its generation ends.
    fn write_down(&self, generation: u64, database: Database) {
        let mut earliest = Instant::now();
        loop {
            let mut state = self.lock();
            loop {
                if state.generation != generation || state.memory.is_none() {
                    drop(state);
                    // Closing writes to the file. A panic of the library must not end the process.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
                    self.lock().closed = true;
                    self.changed.notify_all();
                    return;
                }
                let early = earliest.saturating_duration_since(Instant::now());
                let due = state.failure.is_none() && state.urgent || early.is_zero();
                if state.written < state.version && due {
                    break;
                }
                let patience = if state.written < state.version { early } else { Duration::from_secs(3600) };
                state = self.wait(state, patience.max(Duration::from_millis(1)));
            }
            let Some(memory) = state.memory.clone() else { continue };
            let version = state.version;
            state.urgent = false;
            drop(state);
            let outcome = guarded(|| tables::write(&database, &memory));
            let mut state = self.lock();
            if state.generation == generation {
                earliest = Instant::now() + if outcome.is_ok() { COUNTS_EVERY } else { RETRY_AFTER };
                match outcome {
                    Ok(()) => {
                        state.written = version;
                        state.failure = None;
                    }
                    Err(reason) => {
                        if state.failure.is_none() {
                            tracing::warn!(%reason, "could not save telemetry data; trying again");
                        }
                        state.failure = Some(reason);
                    }
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}

/// Runs a store operation and turns a panic of the library into an error.
fn guarded<T>(operation: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("the database library panicked".into()),
    }
}

#[cfg(test)]
mod tests;
