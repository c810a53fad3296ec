//! The records in a redb file, by ID. Every function here waits for the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::contract::api::ActivityRecord;
use crate::os::redb_file::{OpenError, open_store};

/// JSON of each record by its ID.
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("activity_records");
/// `bytes`: the total length of all records.
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("activity_totals");
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

impl Store {
    /// Opens or creates the file. Renames a damaged file first.
    ///
    /// # Errors
    /// [`OpenError`]
    pub(super) fn open(path: &Path, now: Timestamp) -> Result<Store, OpenError> {
        let today = now.strftime("%Y-%m-%d").to_string();
        let opened = open_store(path, &today, CACHE_BYTES)?;
        Ok(Store {
            database: Arc::new(opened.database),
            path: path.to_path_buf(),
        })
    }

    /// Adds records and removes those that are too old or too many, in one transaction.
    ///
    /// # Errors
    /// Why nothing was written.
    pub(super) fn append(
        &self,
        records: &[(u64, Arc<ActivityRecord>)],
        keep: Retention,
        now: Timestamp,
    ) -> Result<(), String> {
        guarded(|| {
            let transaction = self.database.begin_write().map_err(text)?;
            {
                let mut table = transaction.open_table(RECORDS).map_err(text)?;
                let mut totals = transaction.open_table(TOTALS).map_err(text)?;
                let mut bytes = totals.get(BYTES).map_err(text)?.map_or(0, |value| value.value());
                for (id, record) in records {
                    let json = serde_json::to_vec(record.as_ref()).map_err(text)?;
                    let before = table.insert(id, json.as_slice()).map_err(text)?.map_or(0, |old| old.value().len());
                    bytes = (bytes + json.len() as u64).saturating_sub(before as u64);
                }
                for _ in 0..MOST_REMOVED {
                    let Some(length) = oldest_to_remove(&table, bytes, keep, now)? else { break };
                    table.pop_first().map_err(text)?;
                    bytes = bytes.saturating_sub(length);
                }
                totals.insert(BYTES, bytes).map_err(text)?;
            }
            transaction.commit().map_err(text)
        })
    }

    /// Returns the number of records.
    pub(super) fn count(&self) -> usize {
        let counted = guarded(|| {
            let transaction = self.database.begin_read().map_err(text)?;
            match transaction.open_table(RECORDS) {
                Ok(table) => table.len().map_err(text),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
                Err(error) => Err(error.to_string()),
            }
        });
        usize::try_from(counted.unwrap_or_default()).unwrap_or(usize::MAX)
    }

    /// Returns the newest ID; 0 without records.
    pub(super) fn last_id(&self) -> u64 {
        let mut last = 0;
        self.each(u64::MAX, |id, _| {
            last = id;
            false
        });
        last
    }

    /// Visits the records before an ID, newest first, until the visitor returns `false`. Skips unreadable records.
    pub(super) fn each(&self, before: u64, mut visit: impl FnMut(u64, ActivityRecord) -> bool) {
        let read = guarded(|| {
            let transaction = self.database.begin_read().map_err(text)?;
            let table = match transaction.open_table(RECORDS) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            for entry in table.range(..before).map_err(text)?.rev() {
                let (id, value) = entry.map_err(text)?;
                let Ok(record) = serde_json::from_slice(value.value()) else { continue };
                if !visit(id.value(), record) {
                    break;
                }
            }
            Ok(())
        });
        if let Err(error) = read {
            tracing::warn!("could not read `{}`: {error}", self.path.display());
        }
    }

    /// One record.
    pub(super) fn get(&self, id: u64) -> Option<ActivityRecord> {
        let mut found = None;
        self.each(id.saturating_add(1), |at, record| {
            found = (at == id).then_some(record);
            false
        });
        found
    }

    /// Removes every record; returns how many there were.
    ///
    /// # Errors
    /// Why they could not be removed.
    pub(super) fn clear(&self) -> Result<usize, String> {
        let count = self.count();
        guarded(|| {
            let transaction = self.database.begin_write().map_err(text)?;
            transaction.delete_table(RECORDS).map_err(text)?;
            transaction.delete_table(TOTALS).map_err(text)?;
            transaction.commit().map_err(text)
        })?;
        Ok(count)
    }
}

/// Returns the length of the oldest record if it must be removed.
fn oldest_to_remove(
    table: &impl ReadableTable<u64, &'static [u8]>,
    bytes: u64,
    keep: Retention,
    now: Timestamp,
) -> Result<Option<u64>, String> {
    let Some((_, value)) = table.first().map_err(text)? else { return Ok(None) };
    let length = value.value().len() as u64;
    if bytes > keep.bytes {
        return Ok(Some(length));
    }
    // A retention that reaches before the calendar begins keeps everything.
    let Ok(limit) = now.checked_sub(SignedDuration::from_hours(24 * i64::from(keep.days))) else {
        return Ok(None);
    };
    let at =
        serde_json::from_slice::<ActivityRecord>(value.value()).ok().and_then(|record| record.timestamp.parse().ok());
    Ok(at.is_none_or(|at: Timestamp| at < limit).then_some(length))
}

/// Converts a panic of the library about a damaged file to an error.
fn guarded<T>(act: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| Err("the store is damaged".to_owned()))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        store.each(u64::MAX, |id, _| {
            ids.push(id);
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
        assert_eq!((store.count(), store.last_id()), (2, 3));
        assert!(store.get(1).is_none());
        assert_eq!(store.get(2).map(|record| record.id).as_deref(), Some("2"));
        assert_eq!((store.clear(), store.count()), (Ok(2), 0));
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
        assert_eq!(store.count(), 10);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.redb");
        std::fs::write(&path, b"not a store").unwrap();
        let store = Store::open(&path, at("2026-03-01T00:00:00Z")).unwrap();
        assert_eq!(store.count(), 0);
        assert_eq!(std::fs::read(directory.path().join("a.redb.corrupt-2026-03-01")).unwrap(), b"not a store");
    }
}
