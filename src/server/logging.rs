//! The core's log: `logs/main.<date>.log`, a week of it, and what matters on standard error.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::contract::instance_root::InstanceRoot;
use crate::contract::{names, visible_text};
use crate::os::environment::Environment;
use crate::os::files;
use crate::server::daily_log::{DailyLog, is_log};

/// Bytes of a log file; a day has two at most.
const LONGEST: u64 = 16 << 20;
/// Days that are kept.
const DAYS: usize = 7;

/// The file that the core writes today, or wrote last; none, where it never wrote one.
pub fn newest_log(logs: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(logs).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Their dates are in the order of their names.
    let newest = names.filter(|name| is_log(name)).max()?;
    Some(logs.join(newest))
}

/// Starts the log. Where the file cannot be written, standard error is all there is.
pub fn start(root: &InstanceRoot, environment: &Environment) {
    let filter = || {
        let said = environment.non_empty(names::ENV_LOG).unwrap_or("info,rmcp=warn");
        let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(said);
        // Whatever was asked for: with more words the one says codes and tokens, and the other says whole addresses when a server
        // cannot be reached, which we say without what follows a `?`.
        let quiet = ["rmcp::transport::auth=warn", "rmcp::transport::worker=off"];
        quiet.iter().filter_map(|quiet| quiet.parse().ok()).fold(filter, EnvFilter::add_directive)
    };
    let file = files::create_private_dir(root.path())
        .and_then(|()| files::create_private_dir(&root.logs()))
        .ok()
        .and_then(|()| DailyLog::open(root.logs(), LONGEST, DAYS, today).ok())
        .map(|file| fmt::layer().with_ansi(false).with_writer(std::sync::Mutex::new(file)).with_filter(filter()));
    let terminal = std::io::stderr().is_terminal();
    // A person at a terminal sees it work; a tray reads only what went wrong.
    let level = if terminal { LevelFilter::INFO } else { LevelFilter::WARN };
    let stderr = fmt::layer()
        .with_ansi(terminal)
        .with_target(false)
        .with_writer(move || Stderr { is_terminal: terminal })
        .with_filter(filter())
        .with_filter(level);
    // A second subscriber in one process is refused: only tests do that, and keep the first.
    let _ = tracing_subscriber::registry().with(file).with(stderr).try_init();
}

/// Today's date (UTC), as in the names of the files.
fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Standard error. Colours are only there at a terminal; otherwise each event stays one line.
struct Stderr {
    is_terminal: bool,
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_terminal {
            return io::stderr().write(line);
        }
        io::stderr().write_all(visible_text::log_line(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
