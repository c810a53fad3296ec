//! Appends to `tray-lifecycle.jsonl` and limits its length.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use super::journal::{Entry, Kind, MOST_LINES, ended_unclean};
use crate::contract::instance_root::InstanceRoot;
use crate::os::files;

/// Maximum size of a journal in bytes. The tray moves a larger file aside, because no tray wrote it.
const LONGEST_JOURNAL: u64 = 1 << 20;

/// The open journal of the running tray.
pub(super) struct Journal {
    path: PathBuf,
    lines: usize,
    began: Instant,
    /// The previous tray wrote no exit entry.
    pub after_unclean_end: bool,
}

impl Journal {
    /// Opens the journal, whatever its content.
    pub(super) fn open(root: &InstanceRoot) -> Journal {
        let path = root.lifecycle_journal();
        let bytes = match files::read_bounded(&path, LONGEST_JOURNAL) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let aside = path.with_extension("jsonl.old");
                let moved = fs::rename(&path, &aside);
                tracing::warn!("{error}; moved it to `{}`: {moved:?}", aside.display());
                Vec::new()
            }
        };
        let lines = || bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Journal {
            path,
            lines: lines().count(),
            began: Instant::now(),
            after_unclean_end: ended_unclean(lines()),
        }
    }

    /// Adds an entry. If that fails, it only logs the error.
    pub(super) fn record(&mut self, kind: Kind, pid: u32, reason: String) {
        let entry = Entry {
            kind,
            reason,
            at: crate::os::clock::now(),
            uptime_seconds: Some(self.began.elapsed().as_secs()),
            pid,
        };
        if let Err(error) = self.append(&entry) {
            tracing::warn!("could not write `{}`: {error}", self.path.display());
        }
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if self.lines >= MOST_LINES {
            let bytes = files::read_bounded(&self.path, LONGEST_JOURNAL)?;
            let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let kept = lines.len().saturating_sub(MOST_LINES - 1);
            let mut bytes = lines.into_iter().skip(kept).collect::<Vec<&[u8]>>().concat();
            bytes.extend(line);
            return files::replace_private(&self.path, &bytes);
        }
        files::append_private(&self.path)?.write_all(&line)?;
        self.lines += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn root(directory: &Path) -> InstanceRoot {
        InstanceRoot::resolve(Path::new("/home/ann"), directory.to_str())
    }

    #[test]
    fn the_last_five_hundred_lines_are_kept_and_a_torn_line_does_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        fs::write(root.lifecycle_journal(), b"\xff torn").unwrap();
        let mut journal = Journal::open(&root);
        assert!(!journal.after_unclean_end);
        fs::write(root.lifecycle_journal(), b"\xff torn\n").unwrap();
        for pid in 0..700 {
            journal.record(Kind::CoreLaunched, pid, "x".into());
        }
        let text = fs::read_to_string(root.lifecycle_journal()).unwrap();
        let entries: Vec<Entry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((entries.len(), entries[0].pid, entries[499].pid), (500, 200, 699));
    }

    #[test]
    fn a_journal_that_no_tray_wrote_is_moved_aside() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        fs::write(root.lifecycle_journal(), vec![b'x'; 2 << 20]).unwrap();
        Journal::open(&root).record(Kind::AppLaunched, 1, "x".into());
        assert!(Journal::open(&root).after_unclean_end);
        assert_eq!(fs::metadata(directory.path().join("tray-lifecycle.jsonl.old")).unwrap().len(), 2 << 20);
    }
}
