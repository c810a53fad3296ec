//! The core's log: daily files `logs/main.<date>.log`, kept for a week, and important messages on standard error.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::os::environment::Environment;
use crate::os::files;

const PREFIX: &str = "main";
const SUFFIX: &str = "log";

/// Returns the newest log file; `None` if there is none.
pub fn newest_log(logs: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(logs).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Alphabetical order is order of date.
    let newest = names.filter(|name| is_log(name)).max()?;
    Some(logs.join(newest))
}

/// Whether a file name has the form `main.<date>.log`.
fn is_log(name: &str) -> bool {
    let date = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    date.is_some_and(|date| date.starts_with('.') && date.ends_with('.') && date.len() > 2)
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
        .and_then(|()| {
            let daily = RollingFileAppender::builder().rotation(Rotation::DAILY).max_log_files(7);
            daily.filename_prefix(PREFIX).filename_suffix(SUFFIX).build(root.logs()).ok()
        })
        .map(|file| fmt::layer().with_ansi(false).with_writer(std::sync::Mutex::new(file)).with_filter(filter()));
    let terminal = std::io::stderr().is_terminal();
    // At a terminal, also shows progress; the tray only reads warnings and errors.
    let level = if terminal { LevelFilter::INFO } else { LevelFilter::WARN };
    let stderr = fmt::layer()
        .with_ansi(terminal)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_filter(filter())
        .with_filter(level);
    // Fails if the process has a subscriber already, which only happens in tests.
    let _ = tracing_subscriber::registry().with(file).with(stderr).try_init();
}
