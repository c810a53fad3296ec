//! A log file that rotates by size; one older file is kept. It blocks: use it only on threads that may block.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::os::files;

/// The file, open for appending.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    length: u64,
    longest: u64,
    /// Whether the last write ended with a line break.
    at_line_start: bool,
}

impl RotatingFile {
    /// Opens or creates a file that only its owner can read. It rotates once it is longer than `longest` bytes.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn open(path: PathBuf, longest: u64) -> io::Result<RotatingFile> {
        let file = files::append_private(&path)?;
        Ok(RotatingFile {
            length: file.metadata()?.len(),
            path,
            file,
            longest,
            at_line_start: true,
        })
    }

    /// Rotates between two lines, if the writer ever ends one.
    fn is_due(&self) -> bool {
        self.length > self.longest && (self.at_line_start || self.length > 2 * self.longest)
    }
}

impl Write for RotatingFile {
    fn write(&mut self, output: &[u8]) -> io::Result<usize> {
        // A file that cannot be renamed, for example because another program reads it on Windows, keeps growing.
        if self.is_due() && fs::rename(&self.path, self.path.with_extension("log.1")).is_ok() {
            *self = RotatingFile::open(self.path.clone(), self.longest)?;
        }
        let written = self.file.write(output)?;
        self.length = self.length.saturating_add(written as u64);
        self.at_line_start = output.get(..written).is_some_and(|written| written.ends_with(b"\n"));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_makes_way_while_it_is_written_and_one_older_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tray.log");
        let mut log = RotatingFile::open(path.clone(), 100).unwrap();
        for line in 0..100 {
            log.write_all(format!("line {line:04}\n").as_bytes()).unwrap();
        }
        let older = fs::read_to_string(directory.path().join("tray.log.1")).unwrap();
        let newer = fs::read_to_string(path).unwrap();
        assert!(older.len() < 130 && newer.len() < 130);
        let last = |text: &str| text.lines().last().map(str::to_owned);
        assert_eq!(last(&newer).as_deref(), Some("line 0099"));
        let (first, end) = (newer.lines().next().unwrap(), last(&older).unwrap());
        assert_eq!(first[5..].parse::<u32>().unwrap(), end[5..].parse::<u32>().unwrap() + 1, "no line is lost");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_line_is_split_only_if_it_does_not_end() {
        let directory = tempfile::tempdir().unwrap();
        let (path, older) = (directory.path().join("a.log"), directory.path().join("a.log.1"));
        let mut log = RotatingFile::open(path, 10).unwrap();
        log.write_all(&[b'x'; 15]).unwrap();
        log.write_all(b"y").unwrap();
        assert!(!older.exists());
        log.write_all(&[b'x'; 15]).unwrap();
        log.write_all(b"z").unwrap();
        assert_eq!(fs::read(older).unwrap().len(), 31);
    }
}
