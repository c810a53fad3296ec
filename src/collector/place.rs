//! The collector's files and database.

use std::io;
use std::path::{Path, PathBuf};

use crate::collector::store::Store;
use crate::collector::store::clickhouse::{ClickHouseAddress, ClickHouseStore};
use crate::collector::store::sqlite::SqliteStore;
use crate::os::files;

/// The database to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    Sqlite(PathBuf),
    ClickHouse(ClickHouseAddress),
}

/// The data directory and the database of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub directory: PathBuf,
    pub store: StoreAddress,
}

impl Place {
    /// The place for this directory. `store` is `None`, a path or `clickhouse://…`.
    ///
    /// # Errors
    /// A description of the error in `store`.
    pub fn new(directory: &Path, store: Option<&str>) -> Result<Place, String> {
        let store = match store {
            None => StoreAddress::Sqlite(directory.join("collector.db")),
            Some(text) if text.starts_with("clickhouse://") || text.starts_with("clickhouses://") => {
                StoreAddress::ClickHouse(ClickHouseAddress::parse(text)?)
            }
            Some(text) => StoreAddress::Sqlite(PathBuf::from(text.strip_prefix("sqlite://").unwrap_or(text))),
        };
        Ok(Place {
            directory: directory.to_path_buf(),
            store,
        })
    }

    /// Creates the directory, for this user only.
    ///
    /// # Errors
    /// The system's error.
    pub fn create(&self) -> io::Result<()> {
        files::create_private_dir(&self.directory)
    }

    /// The directory of the journal.
    pub fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// The directory of the published figures.
    pub fn public(&self) -> PathBuf {
        self.directory.join("public")
    }

    /// The directory of the backups.
    pub fn backups(&self) -> PathBuf {
        self.directory.join("backups")
    }

    /// Opens the database for reading and writing. Creates it if it does not exist. `cache` is in MiB.
    ///
    /// # Errors
    /// The database's error.
    pub fn open_store(&self, cache: u32) -> Result<Box<dyn Store>, String> {
        match &self.store {
            StoreAddress::Sqlite(path) => {
                Ok(Box::new(SqliteStore::open(path, cache).map_err(|error| error.to_string())?))
            }
            StoreAddress::ClickHouse(address) => self.open_clickhouse(address),
        }
    }

    /// Opens the database for reading.
    ///
    /// # Errors
    /// The database's error.
    pub fn open_for_reading(&self) -> Result<Box<dyn Store>, String> {
        match &self.store {
            StoreAddress::Sqlite(path) => {
                Ok(Box::new(SqliteStore::open_for_reading(path).map_err(|error| error.to_string())?))
            }
            StoreAddress::ClickHouse(address) => self.open_clickhouse(address),
        }
    }

    fn open_clickhouse(&self, address: &ClickHouseAddress) -> Result<Box<dyn Store>, String> {
        let name = self.collector_name().map_err(|error| error.to_string())?;
        Ok(Box::new(ClickHouseStore::open(address, &name).map_err(|error| error.to_string())?))
    }

    /// A random name that keeps the journals of several collectors with one database apart.
    fn collector_name(&self) -> io::Result<String> {
        self.create()?;
        let path = self.directory.join("collector.id");
        match files::read_bounded(&path, 64) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = uuid::Uuid::new_v4().simple().to_string();
                files::replace_private(&path, name.as_bytes())?;
                Ok(name)
            }
            Err(error) => Err(error),
        }
    }
}
