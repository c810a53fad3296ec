//! Writes `logs/tray.log`: the tray's actions and their reasons.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::contract::visible_text;
use crate::os::rotating_file::RotatingFile;

/// Maximum size of the log in bytes. A larger log is rotated; one older log is kept.
const LONGEST_LOG: u64 = 2 << 20;

/// Sends everything this program logs to the file.
///
/// # Errors
/// The system's error about the file.
pub(super) fn begin(logs: &Path, filter: Option<&str>) -> io::Result<()> {
    let log = RotatingFile::open(logs.join("tray.log"), LONGEST_LOG)?;
    let usual = || Targets::new().with_default(LevelFilter::WARN).with_target("mcpproxy", LevelFilter::INFO);
    let targets = filter.and_then(|filter| filter.parse::<Targets>().ok()).unwrap_or_else(usual);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(EscapedLines(log)));
    // Only tests install a second subscriber; the first one stays.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
    Ok(())
}

/// Writes each line escaped: whatever it quotes, it stays one line.
struct EscapedLines(RotatingFile);

impl Write for EscapedLines {
    /// Each call writes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(visible_text::log_line(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
