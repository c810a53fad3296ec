//! Accepts reports without blocking the callers, and stores them in a separate thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::activity::call::{Call, Change, Listing};
use crate::activity::describe::Report;
use crate::activity::filter::Filter;
use crate::activity::reading::Reading;
use crate::activity::store::Retention;
use crate::activity::summary::UsageWindow;
use crate::activity::writer::{BATCH, MOST_WAITING, MOST_WAITING_BYTES, Shared, State};
use crate::contract::api::{ActivityList, ActivityRecord, ActivitySummary, ActivityUsage, TokenSavings};
use crate::os::clock;

/// Timeout for a purge, which may wait for a transaction and shortens the file.
const LONGEST_PURGE: Duration = Duration::from_secs(60);
/// Timeout for readers until the file is open, and for a flush until it is written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The log of a running core.
#[derive(Debug, Clone)]
pub struct ActivityLog {
    shared: Arc<Shared>,
    /// Ends the thread with the last clone.
    _end: Arc<EndOnDrop>,
}

#[derive(Debug)]
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Default for ActivityLog {
    /// Creates a log that keeps the latest records in memory only.
    fn default() -> ActivityLog {
        ActivityLog::new(None, Retention::default())
    }
}

impl ActivityLog {
    /// Creates a log in this file.
    pub fn in_file(path: &Path, keep: Retention) -> ActivityLog {
        ActivityLog::new(Some(path.to_path_buf()), keep)
    }

    fn new(path: Option<PathBuf>, keep: Retention) -> ActivityLog {
        let state = State::new(keep, path.is_none());
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            newest: watch::Sender::new(0),
        });
        let writer = shared.clone();
        let thread = std::thread::Builder::new().name("activity-log".into()).stack_size(1 << 20);
        let spawned = thread.spawn(move || {
            writer.open(path.as_deref());
            while writer.work() {}
            writer.end();
        });
        if let Err(error) = spawned {
            tracing::warn!("activity is not recorded: {error}");
            let mut state = shared.lock();
            (state.closed, state.opened, state.ended) = (true, true, true);
        }
        let _end = Arc::new(EndOnDrop(shared.clone()));
        ActivityLog { shared, _end }
    }

    /// Reports a call. Takes one short lock and never waits for the disk.
    pub fn call(&self, call: Call) {
        self.report(Report::Call(Box::new(call), clock::now()));
    }

    /// Reports a change.
    pub fn change(&self, change: Change) {
        self.report(Report::Change(Box::new(change), clock::now()));
    }

    /// Reports the list of tools of a session. Only the first one of a session is recorded.
    pub fn listing(&self, listing: Listing) {
        self.report(Report::Listing(Box::new(listing), clock::now()));
    }

    fn report(&self, report: Report) {
        let bytes = report.bytes();
        let mut state = self.shared.lock();
        if state.closed || state.waiting.len() >= MOST_WAITING || state.waiting_bytes + bytes > MOST_WAITING_BYTES {
            state.lost += 1;
            return;
        }
        state.waiting_bytes += bytes;
        state.reported += 1;
        state.waiting.push_back(report);
        let wakes = state.waiting.len() == 1 || state.waiting.len() == BATCH;
        drop(state);
        if wakes {
            self.shared.changed.notify_all();
        }
    }

    /// Follows the newest ID.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.subscribe()
    }

    /// Sets how long records are kept.
    pub fn retain(&self, keep: Retention) {
        self.shared.lock().keep = keep;
    }

    /// Returns why nothing is stored, and how many reports were dropped because too many arrived at once.
    pub fn trouble(&self) -> (Option<String>, u64) {
        let state = self.shared.lock();
        (state.failure.clone(), state.lost)
    }

    /// Waits until everything reported so far is stored, a few seconds at most.
    pub fn flush(&self) {
        let mut state = self.shared.lock();
        let deadline = Instant::now() + PATIENCE;
        state.urgent = true;
        self.shared.changed.notify_all();
        while !(state.opened && state.is_done()) && Instant::now() < deadline {
            state = self.shared.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Visits records before `filter.before`, newest first, until the visitor returns `false`. Waits for the disk.
    pub fn each(&self, filter: &Filter, visit: impl FnMut(ActivityRecord) -> bool) {
        self.reading().each(filter, visit);
    }

    fn reading(&self) -> Reading {
        let mut state = self.shared.lock();
        let deadline = Instant::now() + PATIENCE;
        // A reader must see every call that ended before its request.
        let reported = state.reported;
        if state.shown < reported {
            state.wanted = reported;
            self.shared.changed.notify_all();
        }
        while !(state.ended || state.opened && state.shown >= reported) && Instant::now() < deadline {
            state = self.shared.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        Reading {
            unstored: state.unstored.clone(),
            store: state.store.clone(),
        }
    }

    /// Returns a page of records, newest first, and the number of all matching records. Waits for the disk.
    pub fn list(&self, filter: &Filter, limit: usize, offset: usize) -> ActivityList {
        self.reading().list(filter, limit, offset)
    }

    /// Like `list`, with 0 for the number of all matching records: with a filter, counting reads every record.
    pub fn page(&self, filter: &Filter, limit: usize, offset: usize) -> ActivityList {
        self.reading().page(filter, limit, offset)
    }

    /// Returns one record. Waits for the disk.
    pub fn get(&self, id: &str) -> Option<ActivityRecord> {
        self.reading().get(id.parse().ok()?)
    }

    /// Returns totals over all records. Waits for the disk.
    pub fn summary(&self, filter: &Filter, period: &str) -> ActivitySummary {
        self.reading().summary(filter, period)
    }

    /// Returns the calls of a window that ends now, over time; and by tool, unless only `over_time`. Waits for the disk.
    pub fn usage(&self, window: UsageWindow, over_time: bool) -> ActivityUsage {
        self.reading().usage(window, over_time, clock::now())
    }

    /// Returns the tokens that the search saved, by day and client. Waits for the disk.
    pub fn savings(&self) -> TokenSavings {
        self.reading().savings(clock::now())
    }

    /// Returns the tokens of each session, by its label. Waits for the disk.
    pub fn session_tokens(&self) -> BTreeMap<String, u64> {
        self.reading().session_tokens()
    }

    /// Removes every record and report; returns how many there were. Waits for the disk.
    ///
    /// # Errors
    /// The records could not be removed, or not in time.
    pub fn purge(&self) -> Result<usize, String> {
        let mut state = self.shared.lock();
        if state.ended {
            return Err("the activity log is closed".to_owned());
        }
        // The writer purges, because it may be storing records at the moment.
        state.purges += 1;
        let number = state.purges;
        self.shared.changed.notify_all();
        let deadline = Instant::now() + LONGEST_PURGE;
        while state.purged < number && !state.ended && Instant::now() < deadline {
            state = self.shared.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        if state.purged < number {
            return Err("the disk did not respond in time; try again".to_owned());
        }
        state.purge_outcome.clone()
    }

    /// Stores all reports, accepts no further ones, and closes the file.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        let deadline = Instant::now() + PATIENCE;
        state.closed = true;
        self.shared.changed.notify_all();
        while !state.ended && Instant::now() < deadline {
            state = self.shared.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::writer::MOST_UNSTORED;
    use crate::contract::api::{ActivityKind, ActivitySource, ActivityStatus};
    use crate::contract::tokens::estimate;
    use crate::os::redb_file::open_store;

    fn call(server: &str, status: ActivityStatus) -> Call {
        Call {
            kind: ActivityKind::ToolCall,
            source: ActivitySource::Mcp,
            server: server.to_owned(),
            tool: "t".to_owned(),
            status,
            ..Call::default()
        }
    }

    fn servers(list: &ActivityList) -> Vec<&str> {
        list.activities.iter().map(|record| record.server_name.as_str()).collect()
    }

    #[test]
    fn the_newest_come_first_and_outlive_the_core() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("activity.redb");
        let log = ActivityLog::in_file(&path, Retention::default());
        for server in ["a", "b", "c"] {
            log.call(call(server, ActivityStatus::Success));
        }
        log.close();
        drop(log);
        let log = ActivityLog::in_file(&path, Retention::default());
        log.call(call("d", ActivityStatus::Error));
        log.flush();
        let list = log.list(&Filter::default(), 3, 0);
        assert_eq!((servers(&list), list.total), (vec!["d", "c", "b"], 4));
        assert_eq!(servers(&log.list(&Filter::default(), 3, 3)), ["a"]);
        let failed = Filter {
            status: Some(ActivityStatus::Error),
            ..Filter::default()
        };
        assert_eq!(log.list(&failed, 10, 0).total, 1);
        let older = Filter {
            before: Some(list.activities[1].id.parse().unwrap()),
            ..Filter::default()
        };
        let older = log.list(&older, 10, 0);
        assert_eq!((servers(&older), older.total), (vec!["b", "a"], 2));
        assert_eq!(log.get(&list.activities[2].id).unwrap().server_name, "b");
        let window = log.usage(UsageWindow::Day, false);
        assert_eq!((window.timeline[23].calls, window.timeline[23].errors, window.tools.len()), (4, 1, 4));
        let summary = log.summary(&Filter::default(), "all");
        assert_eq!((summary.total_count, summary.error_count), (4, 1));
        assert_eq!(
            (&summary.start_time, &summary.end_time),
            (&log.list(&Filter::default(), 1, 3).activities[0].timestamp, &list.activities[0].timestamp,)
        );
        assert_eq!(log.purge(), Ok(4));
        assert_eq!(log.list(&Filter::default(), 10, 0).total, 0);
        assert_eq!(log.summary(&Filter::default(), "all").total_count, 0);
    }

    #[test]
    fn a_session_saves_all_tools_less_what_it_received_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("activity.redb");
        let text = "github:create_issue creates an issue";
        let search = |session: &str| Call {
            kind: ActivityKind::InternalToolCall,
            tool: "retrieve_tools".to_owned(),
            client: Some("cursor".to_owned()),
            session: Some(session.to_owned()),
            request_bytes: Some(0),
            response_bytes: Some(text.len() as u64),
            response: text.to_owned(),
            finds_tools: true,
            ..Call::default()
        };
        let listing = || Listing {
            client: Some("cursor".to_owned()),
            session: Some("a".to_owned()),
            tokens: 900,
            all_tools_tokens: 12_000,
            ..Listing::default()
        };
        let result = i64::try_from(estimate(text)).unwrap();
        // The day may change during the test.
        let saved = |log: &ActivityLog| {
            let days = log.savings().days;
            (days.iter().map(|day| day.sessions).sum::<u64>(), days.iter().map(|day| day.saved_tokens).sum::<i64>())
        };
        let log = ActivityLog::in_file(&path, Retention::default());
        log.call(search("a"));
        log.listing(listing());
        log.call(search("a"));
        log.call(search("other"));
        log.listing(listing());
        assert_eq!(saved(&log), (1, 11_100 - result));
        log.flush();
        assert_eq!(saved(&log), (1, 11_100 - result));
        log.close();
        let log = ActivityLog::in_file(&path, Retention::default());
        log.call(search("a"));
        log.listing(listing());
        assert_eq!(saved(&log), (1, 11_100 - 2 * result));
        assert_eq!(log.session_tokens()["a"], 900 + 3 * estimate(text));
        assert_eq!(log.list(&Filter::default(), 10, 0).total, 5);
        log.purge().unwrap();
        log.call(search("a"));
        assert_eq!(saved(&log), (0, 0));
    }

    #[test]
    fn a_purge_removes_what_is_in_the_queue_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let log = ActivityLog::in_file(&directory.path().join("activity.redb"), Retention::default());
        for round in 0..20 {
            let reported = 50 * (round + 1);
            for _ in 0..reported {
                log.call(call("a", ActivityStatus::Success));
            }
            assert_eq!(log.purge(), Ok(reported));
            log.flush();
            assert_eq!(log.list(&Filter::default(), 1, 0).total, 0);
        }
        log.call(call("b", ActivityStatus::Success));
        assert_eq!(servers(&log.list(&Filter::default(), 10, 0)), ["b"]);
        log.close();
        assert!(log.purge().is_err());
    }

    #[test]
    fn pages_are_complete_with_records_in_memory_and_in_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let log = ActivityLog::in_file(&directory.path().join("activity.redb"), Retention::default());
        for number in 0..30 {
            log.call(call(if number % 3 == 0 { "a" } else { "b" }, ActivityStatus::Success));
            if number == 19 {
                log.flush();
            }
        }
        let of_a = Filter {
            server: Some("a".to_owned()),
            ..Filter::default()
        };
        let with_text = Filter {
            text: Some("A".to_owned()),
            ..of_a.clone()
        };
        let ids = log.list(&of_a, 10, 0).activities;
        for filter in [of_a, with_text] {
            let older = Filter {
                before: ids[6].id.parse().ok(),
                ..filter.clone()
            };
            assert_eq!((log.list(&older, 2, 0).total, log.summary(&older, "all").total_count), (3, 3), "{older:?}");
            let pages: Vec<usize> = [0, 4, 8, 12].map(|offset| log.list(&filter, 4, offset).activities.len()).to_vec();
            assert_eq!((pages, log.list(&filter, 4, 0).total), (vec![4, 4, 2, 0], 10), "{filter:?}");
        }
        let mut ids: Vec<String> = Vec::new();
        for offset in (0..30).step_by(7) {
            ids.extend(log.list(&Filter::default(), 7, offset).activities.into_iter().map(|record| record.id));
        }
        assert!(ids.len() == 30 && ids.is_sorted_by(|a, b| a.parse::<u64>().unwrap() > b.parse::<u64>().unwrap()));
    }

    #[test]
    fn records_of_another_version_are_found_and_returned_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("activity.redb");
        let lines = include_str!("../../tests/data/activity/records.jsonl").lines();
        let stored: BTreeMap<u64, &str> = lines
            .map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                (record["id"].as_str().unwrap().parse().unwrap(), line)
            })
            .collect();
        {
            let opened = open_store(&path, "2026-12-01", 1 << 20).unwrap();
            let transaction = opened.database.begin_write().unwrap();
            let table = redb::TableDefinition::<u64, &[u8]>::new("activity_records");
            for (id, line) in &stored {
                transaction.open_table(table).unwrap().insert(id, line.as_bytes()).unwrap();
            }
            transaction.commit().unwrap();
        }
        let log = ActivityLog::in_file(&path, Retention::default());
        for (id, line) in &stored {
            assert_eq!(serde_json::to_string(&log.get(&id.to_string()).unwrap()).unwrap(), **line);
        }
        let count = |kind: &str, status: &str, text: Option<&str>| {
            let filter = Filter {
                kinds: vec![kind.into()],
                status: Some(status.into()),
                text: text.map(str::to_owned),
                ..Filter::default()
            };
            let list = log.list(&filter, 10, 0);
            assert_eq!(list.activities.len(), list.total);
            list.total
        };
        // Without a text, the running totals answer; with one, the records.
        for text in [None, Some("")] {
            assert_eq!(count("hook_evaluation", "deferred", text), 1);
            assert_eq!(count("config_change", "success", text), 2);
            assert_eq!(count("hook_evaluation", "success", text) + count("other", "deferred", text), 0);
        }
    }

    #[test]
    fn without_a_file_the_latest_are_kept() {
        let log = ActivityLog::default();
        for _ in 0..MOST_UNSTORED + 10 {
            log.call(call("a", ActivityStatus::Success));
        }
        log.call(call("last", ActivityStatus::Success));
        log.flush();
        let list = log.list(&Filter::default(), 1, 0);
        assert_eq!((servers(&list), list.total), (vec!["last"], MOST_UNSTORED));
    }

    #[test]
    fn too_much_that_waits_is_lost_and_counted() {
        let log = ActivityLog::default();
        let mut long = call("a", ActivityStatus::Success);
        long.response = "x".repeat(MOST_WAITING_BYTES + 1);
        log.call(long);
        assert_eq!(log.trouble(), (None, 1));
    }
}
