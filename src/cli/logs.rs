//! `mcpproxy logs` and `mcpproxy upstream logs`. They read the files, so they also work without a running core.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::args::{LogTail, LogsArguments, ServerLogsArguments};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, not_found};
use crate::cli::error::CliError;
use crate::cli::output::{not_written, print, say};
use crate::contract::server_log;
use crate::contract::visible_text::one_line;
use crate::os::{files, go_core_logs};
use crate::server::logging::newest_log;

/// How often `--follow` checks the file.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The core's log, or the tray's.
pub async fn own(context: &Context, link: &CoreLink, options: &LogsArguments) -> Result<(), CliError> {
    if options.tray {
        let tray = context.root.logs().join("tray.log");
        return show(context, &options.tail, || tray.clone()).await;
    }
    let logs = directory(context, is_go_core(link).await);
    // The core starts a new file every day.
    show(context, &options.tail, || newest_log(&logs).unwrap_or_else(|| logs.join("main.log"))).await
}

/// A server's log.
pub async fn of_server(context: &Context, link: &CoreLink, options: &ServerLogsArguments) -> Result<(), CliError> {
    let is_go_core = is_go_core(link).await;
    let file_name = match is_go_core {
        true => server_log::go_core_file_name(&options.name),
        false => server_log::file_name(&options.name),
    };
    let path = directory(context, is_go_core).join(file_name);
    let known = path.exists()
        || context.store.load().is_ok_and(|config| config.servers.iter().any(|server| server.name == options.name));
    if !known {
        return Err(not_found(&options.name));
    }
    show(context, &options.tail, || path.clone()).await
}

/// Where the running core writes its logs; the Go core has another place.
fn directory(context: &Context, is_go_core: bool) -> PathBuf {
    match is_go_core {
        true => go_core_logs::of_config(context.store.path()),
        false => context.root.logs(),
    }
}

async fn is_go_core(link: &CoreLink) -> bool {
    match link.running() {
        Some(client) => matches!(client.is_ours().await, Ok(false)),
        None => false,
    }
}

async fn show(context: &Context, options: &LogTail, path: impl Fn() -> PathBuf) -> Result<(), CliError> {
    let now = path();
    let failed =
        |error: io::Error| CliError::new("OPERATION_FAILED", format!("could not read `{}`: {error}", path().display()));
    // Measured before reading: a line written in between is shown twice rather than lost.
    let shown = std::fs::metadata(&now).map_or(0, |file| file.len());
    let lines = if now.is_dir() {
        Vec::new()
    } else {
        files::last_lines(&now, options.tail).map_err(failed)?
    };
    if lines.is_empty() && !options.follow && !context.quiet {
        say(&format!("Nothing has been logged yet (`{}`).", now.display()));
    }
    print(context.format, &lines, |lines| lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join("\n"))?;
    if !options.follow {
        return Ok(());
    }
    let ended = follow(now, shown, &path).await;
    ended.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            not_written(&error)
        } else {
            failed(error)
        }
    })
}

/// Prints what is written after the first `shown` bytes, until the output is closed.
async fn follow(mut at: PathBuf, mut shown: u64, path: &impl Fn() -> PathBuf) -> io::Result<()> {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        shown = follow_on(&at, shown)?;
        let now = path();
        if now != at {
            (at, shown) = (now, 0);
        }
    }
}

/// Prints the complete lines after the first `shown` bytes; returns the new offset.
fn follow_on(path: &Path, mut shown: u64) -> io::Result<u64> {
    let length = std::fs::metadata(path).map_or(0, |file| file.len());
    if length < shown {
        shown = 0; // the file was truncated
    }
    if length == shown {
        return Ok(shown);
    }
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(shown))?;
    let mut bytes = Vec::new();
    file.take(length - shown).read_to_end(&mut bytes)?;
    // An incomplete last line is printed by the next poll.
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(shown) };
    for line in String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).lines() {
        writeln!(io::stdout(), "{}", one_line(line))?;
    }
    Ok(shown + end as u64 + 1)
}
