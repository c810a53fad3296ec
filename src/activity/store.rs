//! The records in a redb file, by ID, with running totals. Every function here waits for the disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::activity::header::Header;
use crate::activity::token_totals::{SavedTotals, SessionTotals};
use crate::activity::totals::{CountKey, HOUR, PERIOD, PeriodTotals, ToolTotals, Totals, period_of};
use crate::activity::totals_tables::{self, existing};
use crate::contract::api::{ActivityKind, ActivityRecord};
use crate::os::redb_file::{OpenError, open_store};

/// JSON of each record by its ID, without its contents. Older versions stored the contents here, too.
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("activity_records");
/// JSON of the contents by the ID of their record, if they are stored. Lists do not read them.
const CONTENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("activity_contents");
/// `bytes`: the total length of all records and contents.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("activity_totals");
const BYTES: &str = "bytes";

/// Size of the page cache. Lists read few pages, and an idle core should use little memory.
const CACHE_BYTES: usize = 2 << 20;
/// Maximum number of old records that one transaction removes: a store that is far too large shrinks in steps.
const MOST_REMOVED: usize = 5_000;

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub days: u32,
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            days: 30,
            bytes: 256 << 20,
        }
    }
}

/// An open store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    database: Arc<Database>,
    path: PathBuf,
}

/// The contents of a call.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Contents {
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
}

/// The number of records at one moment.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub all: usize,
    /// The newest ID; 0 without records.
    pub last_id: u64,
    pub by_key: Vec<(CountKey, u64)>,
}

/// The calls of a window that reaches to the newest record.
#[derive(Debug, Default)]
pub(super) struct WindowTotals {
    /// The newest ID that is included.
    pub last_id: u64,
    pub timeline: Vec<(u32, PeriodTotals)>,
    pub tools: BTreeMap<(String, String), ToolTotals>,
}

/// The tokens up to the newest record.
#[derive(Debug, Default)]
pub(super) struct TokenTotals {
    /// The newest ID that is included.
    pub last_id: u64,
    /// The calls since the time that was asked for.
    pub timeline: Vec<(u32, PeriodTotals)>,
    pub saved: BTreeMap<(u32, String), SavedTotals>,
    pub sessions: BTreeMap<String, SessionTotals>,
}

impl TokenTotals {
    fn is_empty(&self) -> bool {
        self.saved.is_empty() && self.sessions.is_empty()
    }
}

/// A stored record that is being visited.
pub(super) struct Row<'a> {
    pub id: u64,
    pub json: &'a [u8],
    contents: Option<&'a ReadOnlyTable<u64, &'static [u8]>>,
}

impl Row<'_> {
    /// Returns the part of the record that filters read; `None` if it is unreadable.
    pub(super) fn header(&self) -> Option<Header<'_>> {
        Header::parse(self.json)
    }

    /// Returns the record with its contents; `None` if it is unreadable.
    pub(super) fn record(&self) -> Option<ActivityRecord> {
        let mut record: ActivityRecord = serde_json::from_slice(self.json).ok()?;
        if let Some(json) = self.contents.and_then(|table| table.get(self.id).ok()?)
            && let Ok(contents) = serde_json::from_slice::<Contents>(json.value())
        {
            (record.arguments, record.response) = (contents.arguments, contents.response);
        }
        Some(record)
    }
}

impl Store {
    /// Opens or creates the file. Renames a damaged file first.
    ///
    /// # Errors
    /// [`OpenError`]
    pub(super) fn open(path: &Path, now: Timestamp) -> Result<Store, OpenError> {
        let today = now.strftime("%Y-%m-%d").to_string();
        let opened = open_store(path, &today, CACHE_BYTES)?;
        let store = Store {
            database: Arc::new(opened.database),
            path: path.to_path_buf(),
        };
        if let Err(error) = guarded(|| store.complete_totals()) {
            tracing::warn!("could not count the records in `{}`: {error}", store.path.display());
        }
        Ok(store)
    }

    /// Computes the totals again if a version without them has written to the store.
    fn complete_totals(&self) -> Result<(), redb::Error> {
        let stored = self.counts(&[]);
        let counted: u64 = stored.by_key.iter().map(|(_, count)| count).sum();
        let is_counted = usize::try_from(counted) == Ok(stored.all);
        // An older version purges only the tables that it knows.
        let is_purged = stored.all == 0 && !self.tokens(Timestamp::MAX).is_empty();
        if is_counted && !is_purged {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        totals_tables::clear(&transaction)?;
        let mut totals = Totals::default();
        for entry in transaction.open_table(RECORDS)?.iter()? {
            totals.add(&Header::parse(entry?.1.value()).unwrap_or_default());
        }
        totals_tables::add(&transaction, &totals)?;
        transaction.commit()?;
        Ok(())
    }

    /// Adds records and removes those that are too old or too many, in one transaction.
    ///
    /// # Errors
    /// The records could not be written; the store is unchanged.
    pub(super) fn append(
        &self,
        records: &[(u64, Arc<ActivityRecord>)],
        keep: Retention,
        now: Timestamp,
    ) -> Result<(), String> {
        guarded(|| {
            let transaction = self.database.begin_write()?;
            let mut totals = Totals::default();
            let added = insert(&transaction, records, &mut totals)?;
            totals_tables::add(&transaction, &totals)?;
            {
                let mut facts = transaction.open_table(FACTS)?;
                let before = facts.get(BYTES)?.map_or(0, |value| value.value());
                let bytes = remove_old(&transaction, before + added, keep, now)?;
                facts.insert(BYTES, bytes)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Returns the number of records, in total and by type, status, server and tool; by these only for the given types, if
    /// any.
    pub(super) fn counts(&self, kinds: &[ActivityKind]) -> Counts {
        self.read(|transaction| {
            let Some(table) = existing(transaction.open_table(RECORDS))? else {
                return Ok(Counts::default());
            };
            Ok(Counts {
                all: usize::try_from(table.len()?).unwrap_or(usize::MAX),
                last_id: table.last()?.map_or(0, |(id, _)| id.value()),
                by_key: totals_tables::counts(transaction, kinds)?,
            })
        })
    }

    /// Returns the newest ID; 0 without records.
    pub(super) fn last_id(&self) -> u64 {
        self.size().1
    }

    /// Returns the number of records, and the newest ID. Takes less time than `counts`, which reads a table.
    pub(super) fn size(&self) -> (usize, u64) {
        self.read(|transaction| {
            let Some(table) = existing(transaction.open_table(RECORDS))? else { return Ok((0, 0)) };
            let last = table.last()?.map_or(0, |(id, _)| id.value());
            Ok((usize::try_from(table.len()?).unwrap_or(usize::MAX), last))
        })
    }

    /// Returns the calls since `start`, which begins a period of the timeline; by tool only `with_tools`.
    pub(super) fn window(&self, start: Timestamp, with_tools: bool) -> WindowTotals {
        self.read(|transaction| {
            let mut found = WindowTotals::default();
            let Some(records) = existing(transaction.open_table(RECORDS))? else { return Ok(found) };
            found.last_id = records.last()?.map_or(0, |(id, _)| id.value());
            let timeline = &mut found.timeline;
            totals_tables::timeline(transaction, period_of(start, PERIOD), |period, calls| {
                timeline.push((period, calls))
            })?;
            if !with_tools {
                return Ok(found);
            }
            let first_hour = period_of(start, HOUR) + u32::from(start.as_second().rem_euclid(HOUR) != 0);
            let tools = &mut found.tools;
            totals_tables::tools(transaction, first_hour, |server, tool, calls| add_tool(tools, server, tool, &calls))?;
            // The rest of the hour in which the window starts.
            let until = i64::from(first_hour) * HOUR;
            let mut rest = Totals::default();
            let ids = id_of(start)..id_of(Timestamp::from_second(until).unwrap_or(Timestamp::MAX));
            for entry in records.range(ids)? {
                let (_, json) = entry?;
                if let Some(header) = Header::parse(json.value()) {
                    rest.add(&header);
                }
            }
            for ((hour, server, tool), calls) in &rest.tools {
                if *hour < first_hour {
                    add_tool(tools, server, tool, calls);
                }
            }
            Ok(found)
        })
    }

    /// Returns the tokens by client and by session, and the calls since a time.
    pub(super) fn tokens(&self, since: Timestamp) -> TokenTotals {
        self.read(|transaction| {
            let mut found = TokenTotals {
                saved: totals_tables::saved(transaction)?,
                sessions: totals_tables::sessions(transaction)?,
                ..TokenTotals::default()
            };
            if let Some(records) = existing(transaction.open_table(RECORDS))? {
                found.last_id = records.last()?.map_or(0, |(id, _)| id.value());
            }
            let timeline = &mut found.timeline;
            totals_tables::timeline(transaction, period_of(since, PERIOD), |period, calls| {
                timeline.push((period, calls))
            })?;
            Ok(found)
        })
    }

    /// Visits the records whose IDs are in a range, until the visitor returns `false`.
    pub(super) fn each(&self, ids: (Bound<u64>, Bound<u64>), order: Order, mut visit: impl FnMut(&Row<'_>) -> bool) {
        self.read(|transaction| {
            let Some(records) = existing(transaction.open_table(RECORDS))? else { return Ok(()) };
            let contents = existing(transaction.open_table(CONTENTS))?;
            let mut range = records.range::<u64>(ids)?;
            let mut next = || match order {
                Order::NewestFirst => range.next_back(),
                Order::OldestFirst => range.next(),
            };
            while let Some(entry) = next() {
                let (id, json) = entry?;
                let row = Row {
                    id: id.value(),
                    json: json.value(),
                    contents: contents.as_ref(),
                };
                if !visit(&row) {
                    break;
                }
            }
            Ok(())
        });
    }

    /// Returns one record.
    pub(super) fn get(&self, id: u64) -> Option<ActivityRecord> {
        let mut found = None;
        self.each((Bound::Included(id), Bound::Included(id)), Order::NewestFirst, |row| {
            found = row.record();
            false
        });
        found
    }

    /// Removes every record; returns how many there were.
    ///
    /// # Errors
    /// The records could not be removed.
    pub(super) fn clear(&self) -> Result<usize, String> {
        let (count, _) = self.size();
        guarded(|| {
            let transaction = self.database.begin_write()?;
            transaction.delete_table(RECORDS)?;
            transaction.delete_table(CONTENTS)?;
            transaction.delete_table(FACTS)?;
            totals_tables::clear(&transaction)?;
            transaction.commit()?;
            Ok(())
        })?;
        Ok(count)
    }

    /// Shortens the file to its contents, unless a reader uses it.
    ///
    /// # Errors
    /// The file keeps its length: someone reads it, or the disk failed.
    pub(super) fn compact(&mut self) -> Result<(), String> {
        let Some(database) = Arc::get_mut(&mut self.database) else {
            return Err("it is being read".to_owned());
        };
        let compacted = catch_unwind(AssertUnwindSafe(|| database.compact()));
        match compacted {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(DAMAGED.to_owned()),
        }
    }

    /// Reads in one transaction. An unreadable store is as good as an empty one.
    fn read<T: Default>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> T {
        let answer = guarded(|| read(&self.database.begin_read()?));
        answer.unwrap_or_else(|error| {
            tracing::warn!("could not read `{}`: {error}", self.path.display());
            T::default()
        })
    }
}

/// The order in which records are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

/// Returns the smallest ID that a record of this time can have: IDs are microseconds since 1970, or greater.
pub(super) fn id_of(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or_default()
}

fn add_tool(tools: &mut BTreeMap<(String, String), ToolTotals>, server: &str, tool: &str, calls: &ToolTotals) {
    tools.entry((server.to_owned(), tool.to_owned())).or_default().add(calls);
}

/// Adds records to the tables and to the totals; returns their length.
fn insert(
    transaction: &WriteTransaction,
    records: &[(u64, Arc<ActivityRecord>)],
    totals: &mut Totals,
) -> Result<u64, redb::Error> {
    let mut table = transaction.open_table(RECORDS)?;
    let mut contents = transaction.open_table(CONTENTS)?;
    let mut added = 0;
    for (id, record) in records {
        let (short, long) = split(record);
        let json = serde_json::to_vec(&short).unwrap_or_default();
        added += json.len() as u64;
        table.insert(id, json.as_slice())?;
        if let Some(long) = long {
            let json = serde_json::to_vec(&long).unwrap_or_default();
            added += json.len() as u64;
            contents.insert(id, json.as_slice())?;
        }
        totals.add(&Header::of(record));
    }
    Ok(added)
}

/// Returns a record without its contents, and the contents.
fn split(record: &ActivityRecord) -> (ActivityRecord, Option<Contents>) {
    let mut short = record.clone();
    let contents = Contents {
        arguments: short.arguments.take(),
        response: short.response.take(),
    };
    let is_empty = contents.arguments.is_none() && contents.response.is_none();
    (short, (!is_empty).then_some(contents))
}

/// Removes records that are too old, and the oldest while they are longer than allowed; returns the remaining length.
fn remove_old(
    transaction: &WriteTransaction,
    mut bytes: u64,
    keep: Retention,
    now: Timestamp,
) -> Result<u64, redb::Error> {
    // A retention that reaches before the calendar begins keeps everything.
    let limit = now.checked_sub(SignedDuration::from_hours(24 * i64::from(keep.days))).ok();
    let mut records = transaction.open_table(RECORDS)?;
    let mut contents = transaction.open_table(CONTENTS)?;
    let mut removed = Totals::default();
    let mut first_removed = None;
    for _ in 0..MOST_REMOVED {
        let (id, length) = {
            let Some((id, value)) = records.first()? else { break };
            let header = Header::parse(value.value()).unwrap_or_default();
            let is_old = limit.is_some_and(|limit| header.at().is_none_or(|at| at < limit));
            if !is_old && bytes <= keep.bytes {
                break;
            }
            removed.remove(&header);
            first_removed = first_removed.or_else(|| header.at());
            (id.value(), value.value().len() as u64)
        };
        records.remove(id)?;
        let more = contents.remove(id)?.map_or(0, |value| value.value().len());
        bytes = bytes.saturating_sub(length + more as u64);
    }
    if removed.counts.is_empty() {
        return Ok(bytes);
    }
    totals_tables::add(transaction, &removed)?;
    let oldest = records.first()?.and_then(|(_, json)| Header::parse(json.value())?.at());
    totals_tables::forget(transaction, first_removed, oldest.unwrap_or(now))?;
    Ok(bytes)
}

/// The error of a file in which the library finds a mistake.
const DAMAGED: &str = "the store is damaged";

/// Converts a panic of the library about a damaged file to an error.
fn guarded<T>(act: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(DAMAGED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::{ActivityKind, ActivityStatus};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn record(id: u64, timestamp: &str) -> (u64, Arc<ActivityRecord>) {
        let record = ActivityRecord {
            id: id.to_string(),
            timestamp: timestamp.to_owned(),
            ..ActivityRecord::default()
        };
        (id, Arc::new(record))
    }

    fn ids(store: &Store) -> Vec<u64> {
        let mut ids = Vec::new();
        store.each((Bound::Unbounded, Bound::Unbounded), Order::NewestFirst, |row| {
            ids.push(row.id);
            true
        });
        ids
    }

    #[test]
    fn records_outlive_the_store_and_the_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.redb");
        let now = at("2026-03-01T00:00:00Z");
        let keep = Retention {
            days: 30,
            bytes: 1 << 20,
        };
        let store = Store::open(&path, now).unwrap();
        let records = [
            record(1, "2026-01-01T00:00:00Z"),
            record(2, "2026-02-28T00:00:00Z"),
            record(3, "2026-03-01T00:00:00Z"),
        ];
        store.append(&records, keep, now).unwrap();
        assert_eq!(ids(&store), [3, 2]);
        drop(store);
        let store = Store::open(&path, now).unwrap();
        assert_eq!((store.counts(&[]).all, store.last_id()), (2, 3));
        assert!(store.get(1).is_none());
        assert_eq!(store.get(2).map(|record| record.id).as_deref(), Some("2"));
        assert_eq!((store.clear(), store.counts(&[]).all), (Ok(2), 0));
    }

    #[test]
    fn the_store_stays_below_its_size() {
        let directory = tempfile::tempdir().unwrap();
        let now = at("2026-03-01T00:00:00Z");
        let store = Store::open(&directory.path().join("a.redb"), now).unwrap();
        let records: Vec<_> = (1..=100).map(|id| record(id, "2026-03-01T00:00:00Z")).collect();
        let one = serde_json::to_vec(records[99].1.as_ref()).unwrap().len() as u64;
        store
            .append(
                &records,
                Retention {
                    days: 30,
                    bytes: one * 10,
                },
                now,
            )
            .unwrap();
        assert_eq!(ids(&store).first(), Some(&100));
        assert_eq!(store.counts(&[]).all, 10);
    }

    fn call(id: u64, server: &str, timestamp: &str, ms: u64) -> (u64, Arc<ActivityRecord>) {
        let record = ActivityRecord {
            id: id.to_string(),
            kind: ActivityKind::ToolCall,
            status: ActivityStatus::Success,
            server_name: server.to_owned(),
            tool_name: "t".to_owned(),
            timestamp: timestamp.to_owned(),
            duration_ms: ms,
            response: Some("long".to_owned()),
            ..ActivityRecord::default()
        };
        (id, Arc::new(record))
    }

    fn number(store: &Store, server: &str) -> u64 {
        store.counts(&[]).by_key.iter().filter(|((_, _, name, _), _)| name == server).map(|(_, count)| count).sum()
    }

    #[test]
    fn totals_follow_the_records_and_contents_are_kept_apart() {
        let directory = tempfile::tempdir().unwrap();
        let now = at("2026-03-01T12:30:00Z");
        let store = Store::open(&directory.path().join("a.redb"), now).unwrap();
        let micros = |text: &str| id_of(at(text));
        let times = [
            "2026-01-01T00:00:00Z",
            "2026-03-01T10:50:00Z",
            "2026-03-01T11:10:00Z",
            "2026-03-01T12:29:00Z",
        ];
        let records: Vec<_> = times.iter().map(|time| call(micros(time), "a", time, 7)).collect();
        store.append(&records, Retention::default(), now).unwrap();
        store.append(&[call(micros(times[3]) + 1, "b", times[3], 9)], Retention::default(), now).unwrap();
        assert_eq!((number(&store, "a"), number(&store, "b")), (3, 1), "the old one is gone");
        for (kinds, found) in [
            (vec!["tool_call"], 2),
            (vec!["tool", "tool_call_", "a"], 0),
            (vec!["tool_call"; 2], 2),
        ] {
            let kinds: Vec<ActivityKind> = kinds.into_iter().map(Into::into).collect();
            assert_eq!(store.counts(&kinds).by_key.len(), found, "{kinds:?}");
        }
        let window = store.window(at("2026-03-01T11:05:00Z"), true);
        let calls: u64 = window.timeline.iter().map(|(_, calls)| calls.calls).sum();
        let of_a = &window.tools[&("a".to_owned(), "t".to_owned())];
        assert_eq!((calls, of_a.calls, of_a.percentile(95), window.tools.len()), (3, 2, 7, 2));
        assert_eq!(window.last_id, micros(times[3]) + 1);
        assert_eq!(store.window(at("2026-01-01T00:00:00Z"), true).timeline.len(), 3);
        assert_eq!(store.get(records[1].0).unwrap().response.as_deref(), Some("long"));
        assert_eq!((store.clear(), store.counts(&[]).by_key.len()), (Ok(4), 0));
        assert!(store.window(Timestamp::UNIX_EPOCH, true).tools.is_empty());
    }

    #[test]
    fn tokens_follow_the_retention_and_a_limited_number_of_clients_has_a_row() {
        let directory = tempfile::tempdir().unwrap();
        let now = at("2026-03-01T12:00:00Z");
        let store = Store::open(&directory.path().join("a.redb"), now).unwrap();
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-03-01T11:00:00Z");
        let listing = |number: u64, client: String, timestamp: &str| {
            let record = ActivityRecord {
                kind: ActivityKind::InternalToolCall,
                tool_name: "tools/list".to_owned(),
                timestamp: timestamp.to_owned(),
                client_name: Some(client.clone()),
                session_id: Some(client),
                response_tokens: Some(10),
                saved_tokens: Some(90),
                ..ActivityRecord::default()
            };
            (id_of(at(timestamp)) + number, Arc::new(record))
        };
        // Without a call of a tool, too.
        store.append(&[listing(0, "quiet".to_owned(), old)], Retention::default(), at(old)).unwrap();
        assert_eq!(store.tokens(Timestamp::MAX).sessions.len(), 1);
        store.append(&[listing(0, "new".to_owned(), new)], Retention::default(), now).unwrap();
        assert_eq!(store.tokens(Timestamp::MAX).sessions.into_keys().collect::<Vec<_>>(), ["new"]);
        store.clear().unwrap();
        let mut tool_call = call(id_of(at(new)) + 100, "a", new, 7);
        Arc::make_mut(&mut tool_call.1).response_tokens = Some(5);
        let mut records = vec![call(id_of(at(old)), "a", old, 7), listing(1, "old".to_owned(), old)];
        records.extend((0..60).map(|number| listing(number, format!("client {number}"), new)));
        records.push(tool_call);
        store.append(&records, Retention::default(), now).unwrap();
        let found = store.tokens(Timestamp::MAX);
        let all: u64 = found.saved.values().map(|totals| totals.all_tools).sum();
        let others = found.saved.iter().find(|((_, client), _)| client.is_empty()).map(|(_, totals)| totals.sessions);
        assert_eq!((found.saved.len(), all, others), (51, 6_000, Some(10)));
        assert_eq!((found.sessions.len(), found.sessions["client 7"].tokens), (60, 10));
        let window = store.window(at(new), true);
        assert_eq!(window.tools[&("a".to_owned(), "t".to_owned())].response_tokens, 5);
        store.clear().unwrap();
        assert!(store.tokens(Timestamp::MAX).saved.is_empty());
    }

    #[test]
    fn a_store_without_totals_gets_them_when_it_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.redb");
        let now = at("2026-03-01T12:00:00Z");
        {
            let opened = open_store(&path, "2026-03-01", CACHE_BYTES).unwrap();
            let transaction = opened.database.begin_write().unwrap();
            let (id, record) = call(5, "a", "2026-03-01T11:00:00Z", 7);
            transaction
                .open_table(RECORDS)
                .unwrap()
                .insert(id, serde_json::to_vec(record.as_ref()).unwrap().as_slice())
                .unwrap();
            transaction.commit().unwrap();
        }
        let store = Store::open(&path, now).unwrap();
        assert_eq!((number(&store, "a"), store.window(at("2026-03-01T11:00:00Z"), true).tools.len()), (1, 1));
        assert_eq!(store.get(5).unwrap().response.as_deref(), Some("long"), "the contents of an older version");
        let transaction = store.database.begin_write().unwrap();
        let (id, record) = call(6, "b", "2026-03-01T11:00:00Z", 7);
        let json = serde_json::to_vec(record.as_ref()).unwrap();
        transaction.open_table(RECORDS).unwrap().insert(id, json.as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(store);
        let store = Store::open(&path, now).unwrap();
        assert_eq!((number(&store, "a"), number(&store, "b")), (1, 1), "an older version has added a record");
    }

    #[test]
    fn a_compacted_file_is_short() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.redb");
        let now = at("2026-03-01T12:00:00Z");
        let mut store = Store::open(&path, now).unwrap();
        let records: Vec<_> = (1..=5_000).map(|id| call(id, "a", "2026-03-01T11:00:00Z", 7)).collect();
        store.append(&records, Retention::default(), now).unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        let reader = store.clone();
        store.clear().unwrap();
        assert!(store.compact().is_err(), "someone reads");
        drop(reader);
        store.compact().unwrap();
        let after = std::fs::metadata(&path).unwrap().len();
        assert!(after * 2 < before, "{before} → {after}");
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.redb");
        std::fs::write(&path, b"not a store").unwrap();
        let store = Store::open(&path, at("2026-03-01T00:00:00Z")).unwrap();
        assert_eq!(store.counts(&[]).all, 0);
        assert_eq!(std::fs::read(directory.path().join("a.redb.corrupt-2026-03-01")).unwrap(), b"not a store");
    }
}
