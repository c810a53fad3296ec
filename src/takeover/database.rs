//! Opens `config.db`, read-only, and takes everything out of it that counts.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::plan::Database;
use super::records::{self, ReadError};

/// Behaviour while another process has the database open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// Its contents may change any moment, so nothing is taken from it.
    Refuse,
    /// Read what is committed now; good enough to show.
    Read,
}

/// The state of a database since a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// It has the same contents, or is gone, or is in use.
    Same,
    /// The Go core was used again.
    Changed,
    /// It can no longer be read, and why.
    Unreadable(String),
}

/// Whether the database has changed since this transaction.
pub fn since(path: &Path, transaction: u64) -> Since {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Since::Same,
        Err(error) => return Since::Unreadable(error.to_string()),
    };
    if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return Since::Same;
    }
    match records::transaction(Borrowed(&file)) {
        Ok(now) if now == transaction => Since::Same,
        Ok(_) => Since::Changed,
        Err(error) => Since::Unreadable(error.to_string()),
    }
}

/// How often a read starts again because another process committed a transaction meanwhile.
const ATTEMPTS: u32 = 5;

/// Reads the database of a data directory.
pub fn read(path: &Path, in_use: InUse) -> Database {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Database::Unreadable("it is not a regular file".to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Database::Missing,
        Err(error) => return Database::Unreadable(error.to_string()),
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Database::Unreadable(error.to_string()),
    };
    // bbolt holds an exclusive lock on the file for as long as it is open for writing. Ours is shared and short.
    if in_use == InUse::Refuse {
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Database::Unreadable(IN_USE.to_owned()),
            Err(TryLockError::Error(error)) => return Database::Unreadable(error.to_string()),
        }
    }
    for _ in 0..ATTEMPTS {
        match records::read(Borrowed(&file)) {
            Ok(records) => return Database::Read(Box::new(records)),
            Err(ReadError::Changing) => {}
            Err(error) => return Database::Unreadable(error.to_string()),
        }
    }
    Database::Unreadable(ReadError::Changing.to_string())
}

/// Why a database is not read while the Go core runs.
pub const IN_USE: &str = "another MCPProxy has it open; quit that one, then run `mcpproxy migrate`";

struct Borrowed<'a>(&'a File);

impl super::bolt::ReadAt for Borrowed<'_> {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        super::bolt::ReadAt::read_at(self.0, offset, buffer)
    }
}
