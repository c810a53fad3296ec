//! Detects that the program file on disk is no longer the running program: packages are upgraded while the tray runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// This program's file as it was at the start.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    seen: State,
}

/// Distinguishes two files with the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    length: u64,
    modified: Option<SystemTime>,
}

impl Program {
    /// Remembers the file; `None` if its metadata cannot be read.
    pub(super) fn remember(path: &Path) -> Option<Program> {
        Some(Program {
            seen: state(path)?,
            path: path.to_path_buf(),
        })
    }

    /// Whether the file was replaced. A missing file does not count: it cannot be started.
    pub(super) fn is_another(&self) -> bool {
        state(&self.path).is_some_and(|now| now != self.seen)
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }
}

fn state(path: &Path) -> Option<State> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(State {
        length: metadata.len(),
        modified: metadata.modified().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_file_in_its_place_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        assert!(Program::remember(&path).is_none());
        fs::write(&path, "one").unwrap();
        let program = Program::remember(&path).unwrap();
        assert!(!program.is_another());
        fs::remove_file(&path).unwrap();
        assert!(!program.is_another(), "removed, or just being replaced");
        fs::write(&path, "second").unwrap();
        assert!(program.is_another());
        assert_eq!(program.into_path(), path);
    }
}
