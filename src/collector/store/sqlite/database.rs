//! Opens the database file and reads the strings that all rows share.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::super::StoreError;
use super::super::codec::Words;
use super::machines::MachineCache;

/// The version of the tables. `migrate` upgrades older ones.
pub const SCHEMA: i64 = 1;

/// How long to wait for the lock of another process.
const LOCKED: Duration = Duration::from_secs(10);
/// How long to wait for other readers before the log is emptied later.
const READERS: Duration = Duration::from_millis(500);

const TABLES: &str = "
CREATE TABLE ids(
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    bodies BLOB NOT NULL,
    opted_out INTEGER
);
CREATE TABLE machines(no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE links(machine INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(machine, id)) WITHOUT ROWID;
CREATE TABLE installations(
    key INTEGER PRIMARY KEY,
    first_day INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    summary BLOB NOT NULL
);
CREATE TABLE words(no INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
CREATE TABLE counted(day INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(day, name)) WITHOUT ROWID;
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
";

/// Indexes for the first day and for opt-outs, which all figures need, and the counted lines of files. Reading works
/// without them.
const ADDED: &str = "
CREATE INDEX IF NOT EXISTS first_days ON installations(first_day);
CREATE INDEX IF NOT EXISTS opt_outs ON ids(opted_out) WHERE opted_out IS NOT NULL;
CREATE TABLE IF NOT EXISTS counted_lines(day INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY(day, entry)) WITHOUT ROWID;
";

/// The SQLite database.
pub struct SqliteStore {
    pub(super) connection: Connection,
    pub(super) words: Words,
    pub(super) machines: MachineCache,
    /// The write-ahead log may contain deleted data, because another connection was reading.
    pub(super) keeps_deleted: bool,
}

impl SqliteStore {
    /// Opens the database for reading and writing. Creates it if it does not exist. `cache` is in MiB.
    ///
    /// # Errors
    /// SQLite's error, or tables of another version.
    pub fn open(path: &Path, cache: u32) -> Result<SqliteStore, StoreError> {
        create_private(path)?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(LOCKED)?;
        // The mode must be set before the first table exists.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -1024 * i64::from(cache))?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        if schema(&connection)? == 0 {
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"))?;
        }
        let store = SqliteStore::checked(connection)?;
        store.connection.execute_batch(ADDED)?;
        Ok(store)
    }

    /// Opens an existing database for reading.
    ///
    /// # Errors
    /// SQLite's error, or tables of another version.
    pub fn open_for_reading(path: &Path) -> Result<SqliteStore, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOCKED)?;
        connection.pragma_update(None, "cache_size", -8 * 1024)?;
        SqliteStore::checked(connection)
    }

    fn checked(connection: Connection) -> Result<SqliteStore, StoreError> {
        match schema(&connection)? {
            SCHEMA => {}
            other => {
                return Err(StoreError::Other(format!(
                    "the database has schema version {other}, but this program needs {SCHEMA}: run `mcpproxy-collector migrate`"
                )));
            }
        }
        connection.set_prepared_statement_cache_capacity(32);
        let mut store = SqliteStore {
            connection,
            words: Words::default(),
            machines: MachineCache::default(),
            keeps_deleted: false,
        };
        store.snapshot(|_| Ok(()))?;
        Ok(store)
    }

    /// Empties the write-ahead log if it may contain deleted data. While another connection reads, the log stays, and the next call
    /// tries again.
    pub(super) fn empty_log(&mut self) -> Result<(), StoreError> {
        if self.keeps_deleted {
            self.connection.busy_timeout(READERS)?;
            let is_busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            self.connection.busy_timeout(LOCKED)?;
            self.keeps_deleted = is_busy? != 0;
        }
        Ok(())
    }

    /// Reads one state of the database, even while another connection writes.
    pub(super) fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&SqliteStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        refresh(&transaction, &mut self.words, &self.machines)?;
        let result = read(self)?;
        transaction.commit()?;
        Ok(result)
    }

    pub(super) fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }
}

/// Learns what other connections changed, at the start of a transaction.
pub(super) fn refresh(connection: &Connection, words: &mut Words, machines: &MachineCache) -> Result<(), StoreError> {
    read_words(connection, words)?;
    machines.refresh(connection)
}

/// Reads strings that another connection may have added.
fn read_words(connection: &Connection, words: &mut Words) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT no, word FROM words WHERE no >= ?1 ORDER BY no")?;
    let mut rows = statement.query([words.len() as u64])?;
    while let Some(row) = rows.next()? {
        let (number, word): (u64, String) = (row.get(0)?, row.get(1)?);
        if words.restore(&word) != number {
            return Err(StoreError::Other("the table of words is damaged: restore a backup".to_owned()));
        }
    }
    words.all_stored();
    Ok(())
}

/// Creates a missing file, for this user only. SQLite's log gets the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map(drop).map_err(|error| StoreError::Other(error.to_string()))
}

/// The version of the tables in a file.
///
/// # Errors
/// SQLite's error.
pub fn form(path: &Path) -> Result<i64, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    schema(&connection)
}

fn schema(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
