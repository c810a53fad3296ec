//! `--wait`: waits until servers are connected, or says why they are not.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::cli::doctor;
use crate::cli::error::CliError;
use crate::client::Client;
use crate::contract::api::{Server, ServerDiagnostics, Servers};
use crate::contract::words::ServerStatus;

/// How often the core is asked.
const EVERY: Duration = Duration::from_millis(250);
/// Progress is shown after this time.
const QUIET: Duration = Duration::from_secs(1);

/// The state of a server that is waited for.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Connected,
    Waiting,
    /// It failed, and why.
    Failed(String),
}

/// The servers that were waited for.
pub(super) struct Waited {
    pub connected: Vec<Server>,
    /// Why the others are not connected.
    pub failed: Option<CliError>,
}

/// Waits until each of these servers is connected or has failed.
///
/// # Errors
/// The core does not answer.
pub(super) async fn until_connected(client: &Client, names: &[String], limit: Duration) -> Result<Waited, CliError> {
    let started = Instant::now();
    let progress = Progress::new();
    let mut failed = Vec::new();
    for name in names {
        failed.extend(failure(client, name, started, limit, &progress).await?);
    }
    let servers = client.get::<Servers>("/api/v1/servers").await?.servers;
    Ok(Waited {
        connected: servers.into_iter().filter(|server| server.connected && names.contains(&server.name)).collect(),
        failed: together(failed),
    })
}

/// Waits for one server. Returns why it failed or was not connected in time.
async fn failure(
    client: &Client,
    name: &str,
    started: Instant,
    limit: Duration,
    progress: &Progress,
) -> Result<Option<CliError>, CliError> {
    loop {
        match standing(&doctor::of(client, name).await?) {
            Standing::Connected => return Ok(None),
            Standing::Failed(why) => {
                let error = CliError::new("CONNECTION_FAILED", format!("`{name}` did not start: {why}"));
                return Ok(Some(error.guided(format!("see what to do with `mcpproxy doctor --server {name}`"))));
            }
            Standing::Waiting if started.elapsed() >= limit => {
                let error =
                    CliError::new("TIMEOUT", format!("`{name}` was not connected within {} s", limit.as_secs()));
                return Ok(Some(error.guided(format!("see what it waits for with `mcpproxy doctor --server {name}`"))));
            }
            Standing::Waiting => progress.show(name, started.elapsed()),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One error for all failures.
fn together(mut failed: Vec<CliError>) -> Option<CliError> {
    if failed.len() < 2 {
        return failed.pop();
    }
    let messages: Vec<&str> = failed.iter().map(|error| error.message.as_str()).collect();
    let error = CliError::new("CONNECTION_FAILED", messages.join("\n"));
    Some(error.guided("see what to do with `mcpproxy doctor`"))
}

/// A server that needs a sign-in or another approval does not connect by itself, so it counts as failed.
fn standing(found: &ServerDiagnostics) -> Standing {
    if found.connected {
        return Standing::Connected;
    }
    match &found.diagnostic {
        // A slow start is not a failure yet.
        Some(problem) if problem.code == "MCPX_STDIO_HANDSHAKE_TIMEOUT" && found.status == ServerStatus::Connecting => {
            Standing::Waiting
        }
        Some(problem) => {
            let cause = problem.cause.as_deref().and_then(|cause| cause.lines().next());
            Standing::Failed(cause.unwrap_or(&problem.user_message).to_owned())
        }
        None => Standing::Waiting,
    }
}

/// A line on standard error that is overwritten and finally cleared; nothing if standard error is not a terminal.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            shown: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, name: &str, waited: Duration) {
        if self.shown && waited >= QUIET {
            eprint!("\r\x1b[KWaiting for {name}… {} s", waited.as_secs());
            let _ = std::io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    /// Clears the line.
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
            let _ = std::io::stderr().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::Diagnostic;

    #[test]
    fn several_failures_are_one_error() {
        let failed = |name: &str| CliError::new("TIMEOUT", format!("`{name}` was late")).guided("one");
        assert_eq!(together(Vec::new()), None);
        assert_eq!(together(vec![failed("a")]), Some(failed("a")));
        let both = together(vec![failed("a"), failed("b")]).unwrap();
        assert_eq!(both.message, "`a` was late\n`b` was late");
        assert_eq!(both.guidance.as_deref(), Some("see what to do with `mcpproxy doctor`"));
    }

    #[test]
    fn a_slow_start_waits_and_a_failure_ends_the_wait() {
        let found = |code: Option<&str>, status: &str| ServerDiagnostics {
            status: ServerStatus::from(status),
            connected: status == "connected",
            diagnostic: code.map(|code| Diagnostic {
                code: code.to_owned(),
                cause: Some("exited: no token\nIts last output".to_owned()),
                ..Diagnostic::default()
            }),
            ..ServerDiagnostics::default()
        };
        assert_eq!(standing(&found(None, "connecting")), Standing::Waiting);
        assert_eq!(standing(&found(Some("MCPX_STDIO_HANDSHAKE_TIMEOUT"), "connecting")), Standing::Waiting);
        let failed = Standing::Failed("exited: no token".to_owned());
        assert_eq!(standing(&found(Some("MCPX_STDIO_EXIT_NONZERO"), "connecting")), failed);
        let pending = Some("MCPX_QUARANTINE_PENDING_APPROVAL");
        assert_eq!(standing(&found(pending, "connected")), Standing::Connected);
    }
}
