//! The thread that stores activity, and what it shares with those who report and read.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::activity::counted_sessions::CountedSessions;
use crate::activity::describe::Report;
use crate::activity::store::{Retention, Store};
use crate::contract::api::ActivityRecord;
use crate::os::clock;

/// Maximum number of queued reports, and maximum bytes of their contents.
pub(super) const MOST_WAITING: usize = 20_000;
pub(super) const MOST_WAITING_BYTES: usize = 16 << 20;
/// Maximum number of records in memory while they cannot be stored.
pub(super) const MOST_UNSTORED: usize = 2_000;
/// Records are stored this long after the first one of a batch, which limits the loss if the process is killed.
const STORE_AFTER: Duration = Duration::from_millis(500);
/// Maximum number of reports that are examined between two checks of the time.
pub(super) const BATCH: usize = 256;
/// Reports are gathered this long unless someone waits for them, so that the thread does not wake up once per call.
const GATHER: Duration = Duration::from_millis(20);
/// Maximum number of records in one transaction.
const MOST_PER_TRANSACTION: usize = 8192;
/// An idle thread waits for a signal, but at most this long.
const IDLE: Duration = Duration::from_secs(3600);
/// Pause after a failed transaction, such as on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Shared {
    pub state: Mutex<State>,
    pub changed: Condvar,
    /// The newest ID that readers see.
    pub newest: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub waiting: VecDeque<Report>,
    pub waiting_bytes: usize,
    /// Records that are not stored yet, the oldest first.
    pub unstored: VecDeque<(u64, Arc<ActivityRecord>)>,
    pub last_id: u64,
    pub counted: CountedSessions,
    /// How many reports were taken, and how many of them readers see.
    pub reported: u64,
    pub shown: u64,
    /// How many reports a reader waits to see.
    pub wanted: u64,
    /// Number of reports dropped because the queue was full.
    pub lost: u64,
    pub keep: Retention,
    pub store: Option<Store>,
    /// Whether opening the store has succeeded or failed.
    pub opened: bool,
    pub failure: Option<String>,
    /// Whether a caller waits until everything is stored.
    pub urgent: bool,
    /// Number of requested and of completed purges, and the outcome of the latest one.
    pub purges: u64,
    pub purged: u64,
    pub purge_outcome: Result<usize, String>,
    pub closed: bool,
    /// Whether the thread has ended and the file is closed.
    pub ended: bool,
}

impl State {
    pub(super) fn new(keep: Retention, opened: bool) -> State {
        State {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            unstored: VecDeque::new(),
            last_id: 0,
            counted: CountedSessions::default(),
            reported: 0,
            shown: 0,
            wanted: 0,
            lost: 0,
            keep,
            store: None,
            opened,
            failure: None,
            urgent: false,
            purges: 0,
            purged: 0,
            purge_outcome: Ok(0),
            closed: false,
            ended: false,
        }
    }

    /// Whether the writer has nothing to do.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.unstored.is_empty() && !self.closed && !self.urgent && !self.wants_purge()
    }

    fn wants_purge(&self) -> bool {
        self.purged < self.purges
    }

    /// Whether more reports may arrive before the next ones are examined.
    fn gathers(&self) -> bool {
        let is_awaited = self.shown < self.wanted || self.urgent || self.closed || self.wants_purge();
        self.waiting.len() < BATCH && !is_awaited
    }

    /// Whether the writer may pause before it tries again to store records.
    fn may_pause(&self) -> bool {
        self.waiting.is_empty() && !self.closed && !self.wants_purge()
    }

    /// Whether every report is stored, or cannot be stored at the moment.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && (self.unstored.is_empty() || self.store.is_none() || self.failure.is_some())
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn open(&self, path: Option<&Path>) {
        let store = path.map(|path| Store::open(path, clock::now()));
        let stored = store.as_ref().and_then(|store| store.as_ref().ok());
        let last = stored.map_or(0, Store::last_id);
        let sessions = stored.map(|store| store.tokens(Timestamp::MAX).sessions).unwrap_or_default();
        let mut state = self.lock();
        for (label, _) in sessions.iter().filter(|(_, totals)| totals.is_counted) {
            state.counted.add(label);
        }
        match store {
            Some(Ok(store)) => state.store = Some(store),
            Some(Err(error)) => {
                tracing::warn!("activity is kept in memory only: {error}");
                state.failure = Some(error.to_string());
            }
            None => {}
        }
        state.last_id = state.last_id.max(last);
        state.opened = true;
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        (state.store, state.ended) = (None, true);
        self.changed.notify_all();
    }

    /// Waits for reports, examines them and stores them; `false` when the log is closed.
    pub(super) fn work(&self) -> bool {
        let mut state = self.lock();
        if state.is_idle() {
            state = self.wait(state, IDLE);
        }
        let wants_purge = state.wants_purge();
        drop(state);
        if wants_purge {
            self.purge();
        }
        let deadline = Instant::now() + STORE_AFTER;
        loop {
            let limit = GATHER.min(deadline.saturating_duration_since(Instant::now()));
            drop(self.changed.wait_timeout_while(self.lock(), limit, |state| state.gathers()));
            let reports = self.take();
            if !reports.is_empty() {
                self.show(reports.iter().map(Report::record).collect());
            }
            let state = self.lock();
            let rest = deadline.saturating_duration_since(Instant::now());
            let is_full = state.unstored.len() >= MOST_PER_TRANSACTION;
            if rest.is_zero() || is_full || state.urgent || state.closed || state.wants_purge() {
                break;
            }
            if state.waiting.is_empty() {
                if state.unstored.is_empty() {
                    return true;
                }
                drop(self.wait(state, rest));
            }
        }
        if self.lock().wants_purge() {
            return true;
        }
        self.store_now();
        let state = self.lock();
        !(state.closed && state.is_done())
    }

    /// Removes everything that was reported before, on the thread that stores.
    fn purge(&self) {
        let (number, dropped, store) = {
            let mut state = self.lock();
            let waiting = state.waiting.len();
            state.waiting.clear();
            state.waiting_bytes = 0;
            state.shown += waiting as u64;
            let dropped = waiting + state.unstored.len();
            state.unstored.clear();
            state.counted.clear();
            (state.purges, dropped, state.store.clone())
        };
        let outcome = store.map_or(Ok(0), |store| store.clear());
        if matches!(outcome, Ok(removed) if removed > 0) {
            self.compact();
        }
        let mut state = self.lock();
        state.purged = number;
        state.purge_outcome = outcome.map(|removed| removed + dropped);
        self.changed.notify_all();
    }

    /// Shortens the file. Readers wait meanwhile; with a reader that uses the file now, it keeps its length.
    fn compact(&self) {
        let Some(mut store) = ({
            let mut state = self.lock();
            state.opened = false;
            state.store.take()
        }) else {
            return;
        };
        if let Err(reason) = store.compact() {
            tracing::info!("the file of the activity log keeps its length: {reason}");
        }
        let mut state = self.lock();
        (state.store, state.opened) = (Some(store), true);
        self.changed.notify_all();
    }

    fn take(&self) -> Vec<Report> {
        let mut state = self.lock();
        let count = state.waiting.len().min(BATCH);
        let taken: Vec<Report> = state.waiting.drain(..count).collect();
        state.waiting_bytes -= taken.iter().map(Report::bytes).sum::<usize>();
        taken
    }

    /// Assigns IDs to records, which makes them visible to readers.
    fn show(&self, records: Vec<ActivityRecord>) {
        let mut state = self.lock();
        state.shown += records.len() as u64;
        for mut record in records {
            if !state.counted.admit(&mut record) {
                continue;
            }
            let now = record.timestamp.parse::<Timestamp>().map_or(0, Timestamp::as_microsecond);
            state.last_id = u64::try_from(now).unwrap_or_default().max(state.last_id + 1);
            let id = state.last_id;
            record.id = id.to_string();
            state.unstored.push_back((id, Arc::new(record)));
        }
        let is_in_memory_only = state.store.is_none() || state.failure.is_some();
        while is_in_memory_only && state.unstored.len() > MOST_UNSTORED {
            state.unstored.pop_front();
        }
        let newest = state.last_id;
        drop(state);
        self.changed.notify_all();
        self.newest.send_replace(newest);
    }

    fn store_now(&self) {
        let (records, store, keep) = {
            let mut state = self.lock();
            state.urgent = false;
            let records: Vec<(u64, Arc<ActivityRecord>)> =
                state.unstored.iter().take(MOST_PER_TRANSACTION).cloned().collect();
            (records, state.store.clone(), state.keep)
        };
        let Some(store) = store else {
            // Nothing to store to: wait for the next report.
            let state = self.lock();
            if state.may_pause() {
                self.changed.notify_all();
                drop(self.wait(state, RETRY_AFTER));
            }
            return;
        };
        if records.is_empty() {
            self.changed.notify_all();
            return;
        }
        let stored = store.append(&records, keep, clock::now());
        let last = records.last().map_or(0, |(id, _)| *id);
        let mut state = self.lock();
        match stored {
            Ok(()) => {
                state.failure = None;
                state.unstored.retain(|(id, _)| *id > last);
                self.changed.notify_all();
            }
            Err(error) => {
                if state.failure.is_none() {
                    tracing::warn!("could not store activity: {error}; trying again every 30 s");
                }
                state.failure = Some(error);
                self.changed.notify_all();
                // Readers wait for the reports that arrived meanwhile.
                if state.may_pause() {
                    drop(self.wait(state, RETRY_AFTER));
                }
            }
        }
    }
}
