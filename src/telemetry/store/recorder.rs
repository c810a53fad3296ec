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

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::contract::run_facts::{Activation, LaunchSource};
use crate::telemetry::store::open::{OpenError, open_store};
use crate::telemetry::store::{InstallerMark, Memory, Window};

/// Flags (1), counts, and times in Unix seconds, by name.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("telemetry_numbers");
/// Client names in the order in which they were first seen.
const CLIENTS: TableDefinition<'_, u64, &str> = TableDefinition::new("telemetry_clients");

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
        let mut opened = open_store(&self.shared.path, today).map_err(RememberError::from);
        let mut memory = Memory::default();
        if let Ok(store) = &opened {
            match guarded(|| read(&store.database)) {
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
                memory.installer = InstallerMark::Told;
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
            let outcome = guarded(|| write(&database, &memory));
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

mod key {
    pub(crate) const CONNECTED_SERVER: &str = "first_connected_server_ever";
    pub(crate) const MCP_CLIENT: &str = "first_mcp_client_ever";
    pub(crate) const RETRIEVE_TOOLS_CALL: &str = "first_retrieve_tools_call_ever";
    pub(crate) const CALLS: &str = "retrieve_tools_calls_24h";
    pub(crate) const CALLS_START: &str = "retrieve_tools_calls_24h_start";
    pub(crate) const TOKENS: &str = "tokens_saved_24h";
    pub(crate) const TOKENS_START: &str = "tokens_saved_24h_start";
    pub(crate) const IDES: &str = "configured_ide_count";
    pub(crate) const INSTALLER_PENDING: &str = "installer_pending";
    pub(crate) const INSTALLER_TOLD: &str = "installer_told";
    pub(crate) const LAST_ACCEPTED: &str = "last_accepted_heartbeat";
    pub(crate) const VIOLATIONS: &str = "anonymity_violations";
    pub(crate) const BLOCKED: &str = "blocked_in_a_row";
}

fn seconds(stored: u64) -> i64 {
    i64::try_from(stored).unwrap_or(0)
}

fn stored(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

fn read(database: &Database) -> Result<Memory, redb::Error> {
    let transaction = database.begin_read()?;
    let mut memory = Memory::default();
    match transaction.open_table(NUMBERS) {
        Ok(numbers) => {
            let number = |name: &str| -> Result<u64, redb::Error> { Ok(numbers.get(name)?.map_or(0, |n| n.value())) };
            memory.connected_server = number(key::CONNECTED_SERVER)? != 0;
            memory.mcp_client = number(key::MCP_CLIENT)? != 0;
            memory.retrieve_tools_call = number(key::RETRIEVE_TOOLS_CALL)? != 0;
            let window = |count, start| -> Result<Window, redb::Error> {
                Ok(Window {
                    count: number(count)?,
                    start: seconds(number(start)?),
                })
            };
            memory.retrieve_tools_calls = window(key::CALLS, key::CALLS_START)?;
            memory.tokens_saved = window(key::TOKENS, key::TOKENS_START)?;
            memory.configured_ides = u32::try_from(number(key::IDES)?).unwrap_or(u32::MAX);
            memory.installer = match (number(key::INSTALLER_PENDING)?, number(key::INSTALLER_TOLD)?) {
                (_, 1..) => InstallerMark::Told,
                (1.., 0) => InstallerMark::Pending,
                (0, 0) => InstallerMark::None,
            };
            memory.last_accepted = seconds(number(key::LAST_ACCEPTED)?);
            memory.anonymity_violations = number(key::VIOLATIONS)?;
            memory.blocked_in_a_row = number(key::BLOCKED)?;
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match transaction.open_table(CLIENTS) {
        Ok(clients) => {
            for entry in clients.iter()? {
                memory.clients.push(entry?.1.value().to_owned());
            }
            memory.clients.truncate(crate::telemetry::store::CLIENTS_KEPT);
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(memory)
}

fn write(database: &Database, memory: &Memory) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        for (name, flag) in [
            (key::CONNECTED_SERVER, memory.connected_server),
            (key::MCP_CLIENT, memory.mcp_client),
            (key::RETRIEVE_TOOLS_CALL, memory.retrieve_tools_call),
            (key::INSTALLER_PENDING, memory.installer >= InstallerMark::Pending),
            (key::INSTALLER_TOLD, memory.installer == InstallerMark::Told),
        ] {
            if flag {
                numbers.insert(name, 1)?;
            }
        }
        for (name, number) in [
            (key::CALLS, memory.retrieve_tools_calls.count),
            (key::CALLS_START, stored(memory.retrieve_tools_calls.start)),
            (key::TOKENS, memory.tokens_saved.count),
            (key::TOKENS_START, stored(memory.tokens_saved.start)),
            (key::IDES, u64::from(memory.configured_ides)),
            (key::LAST_ACCEPTED, stored(memory.last_accepted)),
            (key::VIOLATIONS, memory.anonymity_violations),
            (key::BLOCKED, memory.blocked_in_a_row),
        ] {
            numbers.insert(name, number)?;
        }
        let mut clients = transaction.open_table(CLIENTS)?;
        for (index, name) in (0..).zip(&memory.clients) {
            clients.insert(index, name.as_str())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test should fail at the failing line")]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const DAY: &str = "2026-01-02";

    fn on(path: &Path) -> Recorder {
        let recorder = Recorder::new(path);
        recorder.switch_on(DAY).unwrap();
        recorder
    }

    #[test]
    fn what_was_noted_is_remembered_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let recorder = on(&path);
        recorder.server_connected();
        recorder.client_seen(Some("cursor"));
        recorder.client_seen(Some("/home/ann/agent"));
        recorder.retrieve_tools_called(1_000);
        recorder.tools_returned(40, 15, 1_000);
        recorder.installer_started_us();
        recorder.heartbeat_blocked();
        recorder.flush(SOON).unwrap();
        let before = recorder.memory();
        recorder.close(SOON);
        assert_eq!(recorder.memory(), None);
        let again = on(&path);
        assert_eq!(again.memory(), before);
        let activation = again.activation(1_001);
        assert_eq!(activation.mcp_clients_seen_ever, ["cursor", "unknown"]);
        assert_eq!(activation.retrieve_tools_calls_24h, 1);
    }

    #[test]
    fn a_hundred_concurrent_calls_count_a_hundred() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = on(&directory.path().join("state.redb"));
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| recorder.retrieve_tools_called(1_000));
            }
        });
        assert_eq!(recorder.activation(1_000).retrieve_tools_calls_24h, 100);
        recorder.close(SOON);
        let again = on(&directory.path().join("state.redb"));
        assert_eq!(again.activation(1_000).retrieve_tools_calls_24h, 100);
    }

    #[test]
    fn while_it_is_off_nothing_is_noted_and_no_file_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root/state.redb");
        let recorder = Recorder::new(&path);
        recorder.server_connected();
        recorder.client_seen(Some("cursor"));
        recorder.retrieve_tools_called(1);
        recorder.installer_started_us();
        assert_eq!(recorder.activation(1), Activation::default());
        recorder.flush(SOON).unwrap();
        assert!(!directory.path().join("root").exists());
        recorder.switch_on(DAY).unwrap();
        assert_eq!(recorder.memory(), Some(Memory::default()));
    }

    #[test]
    fn switched_off_while_running_it_forgets_what_came_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let recorder = on(&path);
        recorder.server_connected();
        recorder.close(SOON);
        recorder.retrieve_tools_called(1);
        recorder.switch_on(DAY).unwrap();
        let activation = recorder.activation(1);
        assert!(activation.first_connected_server_ever && !activation.first_retrieve_tools_call_ever);
    }

    #[test]
    fn switched_off_and_on_again_at_once_it_has_its_store() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = on(&directory.path().join("state.redb"));
        for now in 1..20 {
            recorder.retrieve_tools_called(now);
            recorder.switch_off();
            recorder.switch_on(DAY).unwrap();
            recorder.server_connected();
            recorder.flush(SOON).unwrap();
        }
    }

    #[test]
    fn the_installers_mark_outlives_restarts_until_it_was_accepted_and_never_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let told = |recorder: &Recorder, source| recorder.memory().unwrap().launch_source(source);
        let first = on(&path);
        first.installer_started_us();
        first.close(SOON);
        let second = on(&path);
        assert_eq!(told(&second, LaunchSource::Tray), LaunchSource::Installer);
        second.heartbeat_accepted(LaunchSource::Installer, 5_000);
        assert_eq!(told(&second, LaunchSource::Installer), LaunchSource::Tray);
        second.close(SOON);
        let third = on(&path);
        third.installer_started_us();
        assert_eq!(told(&third, LaunchSource::Installer), LaunchSource::Tray);
        assert_eq!(third.memory().unwrap().last_accepted, 5_000);
    }

    #[test]
    fn a_corrupt_store_is_set_aside_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let recorder = on(&path);
        recorder.server_connected();
        recorder.close(SOON);
        let good = std::fs::read(&path).unwrap();
        let mut cases: Vec<Vec<u8>> = vec![vec![0; 4096], b"not a store at all".to_vec(), vec![0xff; 100_000]];
        cases.push(good[..good.len() / 2].to_vec());
        cases.push(good[..100].to_vec());
        cases.push([vec![0; 4096], good[4096..].to_vec()].concat());
        for (number, bytes) in cases.iter().enumerate() {
            std::fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, bytes)).unwrap();
            let recorder = Recorder::new(&path);
            let aside = recorder.switch_on(DAY).unwrap_or_else(|error| panic!("case {number}: {error}"));
            let aside = aside.unwrap_or_else(|| panic!("case {number} was not set aside"));
            assert_eq!(&std::fs::read(&aside).unwrap(), bytes, "case {number}");
            recorder.client_seen(None);
            recorder.flush(SOON).unwrap();
            recorder.close(SOON);
        }
        let kept = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept, cases.len() + 1, "each under a name of its own");
    }

    #[test]
    fn a_flipped_bit_never_takes_the_core_down() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let recorder = on(&path);
        recorder.server_connected();
        recorder.client_seen(Some("cursor"));
        recorder.close(SOON);
        let good = std::fs::read(&path).unwrap();
        for position in (0..good.len()).step_by((good.len() / 60).max(1)).chain(0..64) {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << (position % 8);
            std::fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, &bytes)).unwrap();
            let recorder = Recorder::new(&path);
            let _ = recorder.switch_on(DAY);
            recorder.retrieve_tools_called(1);
            let _ = recorder.flush(SOON);
            assert_eq!(recorder.activation(1).retrieve_tools_calls_24h, 1);
            recorder.close(SOON);
        }
    }

    #[test]
    fn a_store_that_another_holds_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let first = on(&path);
        first.server_connected();
        first.flush(SOON).unwrap();
        let second = Recorder::new(&path);
        assert!(matches!(second.switch_on(DAY), Err(RememberError::Open(OpenError::InUse(_)))));
        second.client_seen(Some("cursor"));
        assert!(second.activation(0).first_mcp_client_ever, "it goes on in memory");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_store_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root/state.redb");
        on(&path).close(SOON);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
