//! The core's log: daily files `logs/main.<date>.log`, kept for a week, and important messages on standard error.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::contract::instance_root::InstanceRoot;
use crate::contract::{names, visible_text};
use crate::os::daily_log::{DailyLog, is_log};
use crate::os::environment::Environment;
use crate::os::files;
use crate::server::log_limit::Limited;

/// Maximum size of a log file, in bytes; there are at most two per day.
const LONGEST: u64 = 16 << 20;
/// Target of events that only the file receives, because standard error shows them in another form.
pub const FILE_ONLY: &str = "mcpproxy::exit";
/// Number of days for which log files are kept.
const DAYS: usize = 7;

/// Returns the newest log file; `None` if there is none.
pub fn newest_log(logs: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(logs).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Alphabetical order is order of date.
    let newest = names.filter(|name| is_log(name)).max()?;
    Some(logs.join(newest))
}

/// Starts logging. If the file cannot be written, logs only to standard error.
pub fn start(root: &InstanceRoot, environment: &Environment) {
    let filter = || {
        let said = environment.non_empty(names::ENV_LOG).unwrap_or("info,rmcp=warn");
        let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(said);
        // Limits these two modules regardless of the user's filter: at more verbose levels, the first logs OAuth codes
        // and tokens, and the second logs URLs with their query. The connection errors are logged elsewhere, without
        // the query.
        let quiet = ["rmcp::transport::auth=warn", "rmcp::transport::worker=off"];
        quiet.iter().filter_map(|quiet| quiet.parse().ok()).fold(filter, EnvFilter::add_directive)
    };
    let file = files::create_private_dir(root.path())
        .and_then(|()| files::create_private_dir(&root.logs()))
        .ok()
        .and_then(|()| DailyLog::open(root.logs(), LONGEST, DAYS, today).ok())
        .map(|file| {
            let format = Limited::new(fmt::format().with_ansi(false));
            let layer = fmt::layer().with_ansi(false).event_format(format);
            layer.with_writer(std::sync::Mutex::new(file)).with_filter(filter())
        });
    let terminal = std::io::stderr().is_terminal();
    // At a terminal, also shows progress; the tray only reads warnings and errors.
    let level = if terminal { LevelFilter::INFO } else { LevelFilter::WARN };
    let stderr = fmt::layer()
        .with_ansi(terminal)
        .event_format(Limited::new(fmt::format().with_ansi(terminal).with_target(false)))
        .with_writer(move || Stderr { is_terminal: terminal })
        .with_filter(filter())
        .with_filter(filter_fn(|event| event.target() != FILE_ONLY))
        .with_filter(level);
    // Fails if the process has a subscriber already, which only happens in tests.
    let _ = tracing_subscriber::registry().with(file).with(stderr).try_init();
}

/// Returns today's date (UTC) in the format of the file names.
fn today() -> String {
    crate::os::clock::now().strftime("%Y-%m-%d").to_string()
}

/// Standard error, with colours only at a terminal. Otherwise, each event is exactly one line.
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
