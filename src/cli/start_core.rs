//! Starts a core in the background, for a command that needs one.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::contract::names;
use crate::os::environment::home_directory;
use crate::os::files;

/// How long a start may take: taking over a large database is part of it.
const START: Duration = Duration::from_secs(60);
/// How often the core is asked whether it serves.
const EVERY: Duration = Duration::from_millis(50);
/// Lines of the core's standard error to show.
const SHOWN: usize = 40;

/// Starts a core that outlives this command, and waits until it serves.
///
/// # Errors
/// The core ended with an error, which becomes this command's, or it does not answer.
pub(super) async fn start(context: &Context) -> Result<CoreLink, CliError> {
    let mut child = spawn(context)
        .map_err(|error| CliError::new("OPERATION_FAILED", format!("could not start MCPProxy: {error}")))?;
    let began = Instant::now();
    loop {
        // Its end is checked first, so that a core which another command started at the same time is found.
        let ended = matches!(child.try_wait(), Ok(Some(_)));
        let link = CoreLink::find(context).await;
        if link.running().is_some() {
            return Ok(link);
        }
        if ended {
            return Err(failure(&output(context)));
        }
        if began.elapsed() > START {
            let text = format!("MCPProxy did not start within {} s", START.as_secs());
            return Err(CliError::new("TIMEOUT", text).guided("see `mcpproxy logs`"));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Shows the core's own messages, such as the notice about usage reports, which a background process cannot show.
pub(super) fn say_output(context: &Context) {
    let lines = output(context);
    if !lines.is_empty() {
        say(&format!("\n{}", lines.join("\n")));
    }
}

fn spawn(context: &Context) -> io::Result<Child> {
    files::create_private_dir(context.root.path())?;
    files::create_private_dir(&context.root.logs())?;
    let stderr = files::new_private(&context.root.core_stderr())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    if !context.root.is_default() {
        command.arg("--data-dir").arg(std::path::absolute(context.root.path())?);
    }
    if context.store.path() != context.root.config() {
        command.arg("--config").arg(std::path::absolute(context.store.path())?);
    }
    // How this command was started says nothing about the core.
    command.env_remove(names::ENV_LAUNCHED_BY).env_remove(names::ENV_TRAY_LAUNCHED_BY);
    if let Some(home) = home_directory().filter(|home| home.is_dir()) {
        command.current_dir(home);
    }
    #[cfg(unix)]
    command.process_group(0); // Ctrl-C in this terminal must not reach the core
    #[cfg(windows)]
    command.creation_flags(windows_sys::Win32::System::Threading::CREATE_NO_WINDOW);
    command.spawn()
}

fn output(context: &Context) -> Vec<String> {
    files::last_lines(&context.root.core_stderr(), SHOWN).unwrap_or_default()
}

/// The error of a core that ended, from the two lines that it wrote.
fn failure(lines: &[String]) -> CliError {
    let part = |mark: &str| lines.iter().rev().find_map(|line| line.strip_prefix(mark));
    let cause = part("error: ").unwrap_or("it ended without a message");
    let error = CliError::new("OPERATION_FAILED", format!("could not start MCPProxy: {cause}"));
    error.guided(part("help: ").unwrap_or("see `mcpproxy logs`, or run `mcpproxy serve`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_core_that_ended_is_the_commands_error() {
        let lines = [
            "note",
            "error: could not listen on `127.0.0.1:1`",
            "help: use another port",
        ];
        let error = failure(&lines.map(str::to_owned));
        assert_eq!(error.message, "could not start MCPProxy: could not listen on `127.0.0.1:1`");
        assert_eq!(error.guidance.as_deref(), Some("use another port"));
        let silent = failure(&[]);
        assert!(silent.message.contains("without a message") && silent.guidance.is_some(), "{}", silent.message);
    }
}
