//! Opens a redb file. Renames a corrupt file with the date and starts a new one, so that the core starts and no data is
//! overwritten.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, StorageError};

use crate::os::files;

/// Maximum size, in bytes, up to which all pages are verified at the start: without that, redb trusts the pages and may
/// panic later.
const VERIFIED_BYTES: u64 = 16 * 1024 * 1024;

/// Why the store could not be opened. None of these changes the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` was written by another version of the store: {reason}", path.display())]
    OtherVersion { path: PathBuf, reason: String },
    #[error("could not open `{}`: {reason}", path.display())]
    System { path: PathBuf, reason: String },
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    pub database: Database,
    /// The new path of the previous file, if it was corrupt. The log contains it too.
    pub set_aside: Option<PathBuf>,
}

enum Refusal {
    Corrupt(String),
    Other(OpenError),
}

/// Opens the store at `path` with a cache of `cache` bytes, or creates it (mode 0600, in a directory with mode 0700).
/// `today` is `YYYY-MM-DD`; a corrupt file is renamed to `<path>.corrupt-<today>`.
///
/// # Errors
/// [`OpenError`] if another process has it open or the system refuses. The file is then unchanged.
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
            let aside = set_aside(path, today)
                .map_err(|error| refused(format!("{reason}; could not rename the file: {error}")))?;
            tracing::error!(store = %path.display(), kept_as = %aside.display(), %reason,
                "the store is corrupt; it was renamed and a new one created");
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
        // Corruption that the integrity check does not cover.
        Err(_) => Err(Refusal::Corrupt("the database library panicked".into())),
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
        // redb reports this for a file in another format or a truncated one.
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

/// Renames the file to the first unused `<path>.corrupt-<today>[-n]`.
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
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many corrupt stores next to it"))
}
