//! Backs up and checks the database, deletes old bodies, and compares summaries with the bodies behind them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::super::summary::unpack_summary;
use super::super::{Store, StoreError};
use super::apply::Writing;
use super::database::{SqliteStore, refresh};
use super::read;
use crate::collector::installation::summarise;
use crate::collector::report::{Day, Id};
use crate::collector::retention::without_old;

/// Deletes bodies received before a day; see [`Store::purge`].
pub(super) fn purge(store: &mut SqliteStore, before: Day) -> Result<u64, StoreError> {
    let mut stale = Vec::new();
    store.export(&mut |id, stored| {
        if stored.bodies.first().is_some_and(|body| body.day() < before) {
            stale.push(id);
        }
        Ok(())
    })?;
    let mut deleted = 0;
    for ids in stale.chunks(1000) {
        deleted += purge_some(store, ids, before)?;
    }
    let oldest = i64::from(before.0);
    store.connection.execute("DELETE FROM counted WHERE day < ?1", [oldest])?;
    store.connection.execute("DELETE FROM counted_lines WHERE day < ?1", [oldest])?;
    store.keeps_deleted = true;
    store.empty_log()?;
    Ok(deleted)
}

/// Reads and writes in one transaction, so that no report of the service that arrives meanwhile is lost.
fn purge_some(store: &mut SqliteStore, ids: &[Id], before: Day) -> Result<u64, StoreError> {
    let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    refresh(&transaction, &mut store.words, &store.machines)?;
    let mut writing = Writing::new(&transaction, &mut store.words, &store.machines);
    let mut gone = Vec::new();
    let mut deleted = 0;
    for id in ids {
        let bodies = writing.bodies(*id)?;
        let count = bodies.len();
        match without_old(bodies, before) {
            // Only the first one is old, and stays.
            Some(rest) if rest.len() == count => {}
            Some(rest) => {
                deleted += (count - rest.len()) as u64;
                writing.replace(*id, rest)?;
            }
            None if count == 0 => {}
            None => {
                deleted += count as u64;
                gone.push(*id);
            }
        }
    }
    writing.flush()?;
    for id in gone {
        writing.forget(id)?;
    }
    writing.finish()?;
    transaction.commit()?;
    Ok(deleted)
}

/// The number of rows of each table. Exists only if SQLite's check found no damage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Inventory {
    pub ids: u64,
    pub machines: u64,
    pub installations: u64,
    pub bodies: u64,
    pub counted: u64,
}

impl SqliteStore {
    /// Copies the database into a new file while others may write.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let mut target = Connection::open(to)?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut target)?;
        backup.run_to_completion(1000, Duration::ZERO, None)?;
        drop(backup);
        // A single file, without a log next to it.
        target.pragma_update(None, "journal_mode", "DELETE")?;
        Ok(())
    }

    /// Checks the file with SQLite and counts the rows.
    ///
    /// # Errors
    /// SQLite's error, or the damage that its check found.
    pub fn inventory(&mut self) -> Result<Inventory, StoreError> {
        let found: String = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(StoreError::Other(format!("the file is damaged: {found}")));
        }
        let count = |table: &str| -> Result<u64, StoreError> {
            Ok(self.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
        };
        let (ids, machines, installations, counted) =
            (count("ids")?, count("machines")?, count("installations")?, count("counted")?);
        let mut bodies = 0;
        self.export(&mut |_, stored| {
            bodies += stored.bodies.len() as u64;
            Ok(())
        })?;
        Ok(Inventory {
            ids,
            machines,
            installations,
            bodies,
            counted,
        })
    }

    /// Summarises every installation again. Returns the numbers of correct and incorrect summaries.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn verify(&mut self) -> Result<(u64, u64), StoreError> {
        self.snapshot(|store| {
            let (mut right, mut wrong) = (0, 0);
            let mut statement = store.connection.prepare("SELECT summary FROM installations WHERE key = ?1")?;
            read::recomputed(store, |key, bodies| {
                let blob: Option<Vec<u8>> =
                    rusqlite::OptionalExtension::optional(statement.query_row([key], |row| row.get(0)))?;
                let stored = blob.and_then(|blob| unpack_summary(&blob, &store.words).ok());
                match stored.is_some() && stored == summarise(bodies) {
                    true => right += 1,
                    false => wrong += 1,
                }
                Ok(())
            })?;
            let all: u64 = store.connection.query_row("SELECT count(*) FROM installations", [], |row| row.get(0))?;
            Ok((right, wrong + all.saturating_sub(right + wrong)))
        })
    }

    /// Writes the log into the file and closes it.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn close(self) -> Result<(), StoreError> {
        self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")?;
        self.connection.close().map_err(|(_, error)| StoreError::Sqlite(error))
    }
}
