//! Opens a redb file, and sets a corrupt one aside under a dated name: the core starts, and nothing is overwritten.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, StorageError};

use crate::os::files;

/// Up to this length every page is verified when the file is opened: a plain open trusts the pages and may panic later.
const VERIFIED_BYTES: u64 = 16 * 1024 * 1024;

/// Why there is no store. None of these changes the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` was written by another version of the store: {reason}", path.display())]
    OtherVersion { path: PathBuf, reason: String },
    #[error("`{}` cannot be opened: {reason}", path.display())]
    System { path: PathBuf, reason: String },
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    pub database: Database,
    /// Where the former file is, if it was corrupt. It was reported in the log.
    pub set_aside: Option<PathBuf>,
}

enum Refusal {
    Corrupt(String),
    Other(OpenError),
}

/// Opens the store at `path` with a cache of `cache` bytes, or creates it (0600, in a directory of 0700). `today` is `YYYY-MM-DD` and names a corrupt
/// file that is set aside as `<path>.corrupt-<today>`.
///
/// # Errors
/// [`OpenError`] when another process has it, or when the system refuses; the file is then left as it is.
pub fn open_store(path: &Path, today: &str, cache: usize) -> Result<Opened, OpenError> {
    let refused = |reason: String| OpenError::System {
        path: path.to_path_buf(),
        reason,
    };
    if let Some(directory) = path.parent() {
        files::create_private_dir(directory).map_err(|error| refused(error.to_string()))?;
    }
    match open(path, cache) {
        Ok(database) => Ok(Opened {
            database,
            set_aside: None,
        }),
        Err(Refusal::Other(error)) => Err(error),
        Err(Refusal::Corrupt(reason)) => {
            let aside = set_aside(path, today).map_err(|error| refused(format!("{reason}; set aside: {error}")))?;
            tracing::error!(store = %path.display(), kept_as = %aside.display(), %reason,
                "the store is corrupt: it was set aside and a new one is begun");
            match open(path, cache) {
                Ok(database) => Ok(Opened {
                    database,
                    set_aside: Some(aside),
                }),
                Err(Refusal::Other(error)) => Err(error),
                Err(Refusal::Corrupt(reason)) => Err(refused(reason)),
            }
        }
    }
}

fn open(path: &Path, cache: usize) -> Result<Database, Refusal> {
    let system = |error: io::Error| {
        Refusal::Other(OpenError::System {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })
    };
    let length = match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(Refusal::Other(OpenError::NotAFile(path.to_path_buf()))),
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_private(path).map_err(system)?;
            0
        }
        Err(error) => return Err(system(error)),
    };
    let opening = catch_unwind(AssertUnwindSafe(|| {
        Builder::new().set_cache_size(cache).set_check_integrity_on_open(length <= VERIFIED_BYTES).create(path)
    }));
    match opening {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(refusal(path, error)),
        // Corruption that the integrity check does not foresee.
        Err(_) => Err(Refusal::Corrupt("the store's library gave up on it".into())),
    }
}

fn refusal(path: &Path, error: DatabaseError) -> Refusal {
    let path = path.to_path_buf();
    let reason = error.to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen => Refusal::Other(OpenError::InUse(path)),
        DatabaseError::UpgradeRequired(_) | DatabaseError::LockProtocolMismatch => {
            Refusal::Other(OpenError::OtherVersion { path, reason })
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::RepairAborted => Refusal::Corrupt(reason),
        // So says redb of a file that is none of its own, or that ends too early.
        DatabaseError::Storage(StorageError::Io(error))
            if [
                io::ErrorKind::InvalidData,
                io::ErrorKind::UnexpectedEof,
                io::ErrorKind::InvalidInput,
            ]
            .contains(&error.kind()) =>
        {
            Refusal::Corrupt(reason)
        }
        _ => Refusal::Other(OpenError::System { path, reason }),
    }
}

fn create_private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Renames the file to the first free `<path>.corrupt-<today>[-n]`.
fn set_aside(path: &Path, today: &str) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for attempt in 1..1000 {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let target = path.with_file_name(format!("{name}.corrupt-{today}{suffix}"));
        if std::fs::symlink_metadata(&target).is_err() {
            std::fs::rename(path, &target)?;
            return Ok(target);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many corrupt stores lie beside it"))
}
