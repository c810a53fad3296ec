//! Whether the program on the disk is still the one that runs: packages are upgraded under a running tray.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// This program's file, as it was at the start.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    seen: State,
}

/// What tells two files of one name apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    length: u64,
    modified: Option<SystemTime>,
}

impl Program {
    /// Remembers the file; nothing where it cannot be looked at.
    pub fn remember(path: &Path) -> Option<Program> {
        Some(Program {
            seen: state(path)?,
            path: path.to_path_buf(),
        })
    }

    /// Whether another file is there now. A file that is missing is being replaced, or removed: neither can be started.
    pub fn is_another(&self) -> bool {
        state(&self.path).is_some_and(|now| now != self.seen)
    }

    /// The program's path.
    pub fn into_path(self) -> PathBuf {
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
