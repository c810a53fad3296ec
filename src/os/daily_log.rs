//! `logs/main.<date>.log`: one file a day, and one older file of the same day if the core logs too much.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::contract::visible_text;
use crate::os::files;

const PREFIX: &str = "main.";
const SUFFIX: &str = ".log";

/// Whether a file has such a name.
pub fn is_log(name: &str) -> bool {
    date(name).is_some()
}

fn date(name: &str) -> Option<&str> {
    let date = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let date = date.strip_suffix(".1").unwrap_or(date);
    (!date.is_empty()).then_some(date)
}

/// The open file of today.
pub struct DailyLog {
    folder: PathBuf,
    longest: u64,
    days: usize,
    today: fn() -> String,
    date: String,
    file: File,
    length: u64,
}

impl DailyLog {
    /// Opens today's file, and deletes files older than `days` days. Starts a new file if today's exceeds `longest`
    /// bytes.
    ///
    /// # Errors
    /// The file could not be opened.
    pub fn open(folder: PathBuf, longest: u64, days: usize, today: fn() -> String) -> io::Result<DailyLog> {
        let date = today();
        let file = files::append_private(&folder.join(format!("{PREFIX}{date}{SUFFIX}")))?;
        let log = DailyLog {
            length: file.metadata()?.len(),
            folder,
            longest,
            days,
            today,
            date,
            file,
        };
        log.delete_old();
        Ok(log)
    }

    fn delete_old(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let mut dates: Vec<&str> = names.iter().filter_map(|name| date(name)).collect();
        dates.sort_unstable();
        dates.dedup();
        let old = dates.len().saturating_sub(self.days);
        let Some(first_kept) = dates.get(old) else { return };
        for name in names.iter().filter(|name| date(name).is_some_and(|date| date < *first_kept)) {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    fn make_way(&mut self) -> io::Result<()> {
        let is_another_day = (self.today)() != self.date;
        if !is_another_day {
            let name = |end: &str| self.folder.join(format!("{PREFIX}{}{end}", self.date));
            // A file that cannot be renamed, for example because another program reads it on Windows, keeps growing.
            if let Err(error) = fs::rename(name(SUFFIX), name(&format!(".1{SUFFIX}")))
                && error.kind() != io::ErrorKind::NotFound
            {
                return Ok(());
            }
        }
        *self = DailyLog::open(self.folder.clone(), self.longest, self.days, self.today)?;
        Ok(())
    }
}

impl Write for DailyLog {
    /// One call is one event.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.length > self.longest || (self.today)() != self.date {
            self.make_way()?;
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
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn names(folder: &std::path::Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_flood_takes_bounded_space() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = DailyLog::open(folder.path().into(), 1000, 7, || "2026-01-01".to_owned()).unwrap();
        for number in 0..1000 {
            log.write_all(format!("line {number}\nINFO fake\n").as_bytes()).unwrap();
        }
        assert_eq!(names(folder.path()), ["main.2026-01-01.1.log", "main.2026-01-01.log"]);
        let texts = names(folder.path()).into_iter().map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
        let text: String = texts.collect();
        assert!(text.len() < 2200 && text.ends_with("line 999\\nINFO fake\n"), "{text}");
    }

    #[test]
    fn each_day_has_a_file_and_old_days_go() {
        static DAY: AtomicU32 = AtomicU32::new(1);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.2025-12-01.1.log"), "old").unwrap();
        fs::write(folder.path().join("server-a.log"), "another's").unwrap();
        let today = || format!("2026-01-{:02}", DAY.load(Ordering::Relaxed));
        let mut log = DailyLog::open(folder.path().into(), 1000, 3, today).unwrap();
        for day in 1..=5 {
            DAY.store(day, Ordering::Relaxed);
            log.write_all(b"a line\n").unwrap();
        }
        assert_eq!(
            names(folder.path()),
            [
                "main.2026-01-03.log",
                "main.2026-01-04.log",
                "main.2026-01-05.log",
                "server-a.log"
            ]
        );
        assert!(is_log("main.2026-01-03.log") && !is_log("main..log") && !is_log("server-a.log"));
    }
}
