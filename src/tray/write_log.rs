//! Writes `logs/tray.log`: the tray's actions and their reasons.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::contract::visible_text;
use crate::os::files;

/// Maximum size of the log in bytes. A larger log is rotated; one older log is kept.
const LONGEST_LOG: u64 = 2 << 20;

/// Sends everything this program logs to the file.
///
/// # Errors
/// The system's error about the file.
pub fn begin(logs: &Path, filter: Option<&str>) -> io::Result<()> {
    let log = Log::open(logs.join("tray.log"), LONGEST_LOG)?;
    let usual = || Targets::new().with_default(LevelFilter::WARN).with_target("mcpproxy", LevelFilter::INFO);
    let targets = filter.and_then(|filter| filter.parse::<Targets>().ok()).unwrap_or_else(usual);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(log));
    // Only tests install a second subscriber; the first one stays.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
    Ok(())
}

/// A log file that rotates by size, because a tray runs for months.
struct Log {
    path: PathBuf,
    file: File,
    length: u64,
    longest: u64,
}

impl Log {
    fn open(path: PathBuf, longest: u64) -> io::Result<Log> {
        let file = files::append_private(&path)?;
        Ok(Log {
            length: file.metadata()?.len(),
            path,
            file,
            longest,
        })
    }
}

impl Write for Log {
    /// Each call writes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.length > self.longest {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = Log::open(self.path.clone(), self.longest)?;
        }
        let text = visible_text::log_line(line);
        self.file.write_all(text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_rotated_and_one_older_log_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tray.log");
        let mut log = Log::open(path.clone(), 100).unwrap();
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
}
