//! Reads and writes a client's file, and keeps a backup of what an edit replaces.

use std::io;
use std::path::{Path, PathBuf};

use crate::ai_clients::plan::{Backup, Change};
use crate::os::files::{Replaced, create_like, read_bounded, remove_shared, replace_shared};

/// Claude Code's file holds project history, so several megabytes are normal.
const MAX_SIZE: u64 = 64 << 20;
/// Only this many of the newest backups are considered for an undo.
const MAX_BACKUPS: usize = 20;

/// The bytes of a file; `None` if it does not exist.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_bounded(path, MAX_SIZE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Applies a change, unless the file differs from `before`.
pub fn write(path: &Path, before: Option<&[u8]>, change: &Change) -> io::Result<Replaced> {
    match change {
        Change::Nothing => Ok(Replaced::Done),
        Change::Delete => remove_shared(path, before.unwrap_or_default()),
        Change::Write(after) => {
            if let (None, Some(directory)) = (before, path.parent()) {
                std::fs::create_dir_all(directory)?;
            }
            replace_shared(path, before, after)
        }
    }
}

/// Backs up what is about to be replaced, unless an equal backup exists. Returns the backup's path.
pub fn keep_backup(path: &Path, before: Option<&[u8]>, change: &Change) -> io::Result<Option<PathBuf>> {
    // A file that is deleted holds only our entry.
    let (Some(before), Change::Write(_)) = (before, change) else { return Ok(None) };
    if let Some(same) = backups(path).into_iter().find(|backup| backup.bytes == before) {
        return Ok(Some(path.with_file_name(same.name)));
    }
    let now = crate::os::clock::now().strftime("%Y%m%d-%H%M%S").to_string();
    let mut suffix = String::new();
    for next in 1..100 {
        let backup = path.with_file_name(format!("{}{now}{suffix}", backup_prefix(path)));
        match create_like(&backup, path, before) {
            Ok(()) => return Ok(Some(backup)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => suffix = format!("-{next}"),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many backups were made within one second"))
}

/// The newest backups next to a file.
pub fn backups(path: &Path) -> Vec<Backup> {
    let prefix = backup_prefix(path);
    let entries = path.parent().and_then(|directory| std::fs::read_dir(directory).ok());
    let file_name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut names: Vec<String> =
        entries.into_iter().flatten().filter_map(file_name).filter(|name| name.starts_with(&prefix)).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    let backup = |name: String| {
        Some(Backup {
            bytes: read(&path.with_file_name(&name)).ok()??,
            name,
        })
    };
    names.into_iter().take(MAX_BACKUPS).filter_map(backup).collect()
}

fn backup_prefix(path: &Path) -> String {
    format!("{}.bak.", path.file_name().unwrap_or_default().to_string_lossy())
}
