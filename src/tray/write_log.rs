//! `logs/tray.log`: what the tray did, and why.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// A log longer than this is put aside at the next start; one older log is kept.
const LONGEST_LOG: u64 = 2 << 20;

/// Sends everything this program logs to the file.
///
/// # Errors
/// What the system says about the file.
pub fn begin(logs: &Path, filter: Option<&str>) -> io::Result<()> {
    let path = logs.join("tray.log");
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LONGEST_LOG) {
        fs::rename(&path, logs.join("tray.log.1"))?;
    }
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    let usual = || Targets::new().with_default(LevelFilter::WARN).with_target("mcpproxy", LevelFilter::INFO);
    let targets = filter.and_then(|filter| filter.parse::<Targets>().ok()).unwrap_or_else(usual);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Arc::new(file));
    // A second subscriber is only asked for in tests: the first one stays.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
    Ok(())
}
