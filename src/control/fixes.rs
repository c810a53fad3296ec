//! Runs the fixes that MCPProxy offers for a failure.

use std::time::Duration;

use serde_json::json;

use crate::control::servers::ServerControl;
use crate::diagnostics::catalog::Fixer;
use crate::os::files;
use crate::upstream::connect::{FIRST_ANSWER, FIRST_START};

/// Number of log lines that a fix shows.
const LOG_LINES: usize = 20;
/// The maximum startup timeout that a fix sets.
const LONGEST_START: Duration = Duration::from_mins(30);

/// The effect of a fix, done or planned.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    pub preview: String,
    /// A page to open in the browser, to complete the fix.
    pub open_url: Option<String>,
}

impl ServerControl {
    /// Describes the effect of a fix without changing anything.
    ///
    /// # Errors
    /// The fix is not possible; the message says why.
    pub async fn preview_fix(&self, server: &str, fixer: Fixer) -> Result<Fixed, String> {
        let preview = match fixer {
            Fixer::ShowLogs => return self.last_log_lines(server).await,
            Fixer::SignIn => format!("Opens the sign-in page of `{server}` in the browser and replaces its tokens."),
            Fixer::Retry => format!("Starts `{server}` again at once."),
            Fixer::RaiseTimeout => {
                let (before, after) = self.longer_timeout(server)?;
                format!(
                    "Changes `init_timeout` of `{server}` from {} s to {} s and restarts it.",
                    before.as_secs(),
                    after.as_secs()
                )
            }
        };
        Ok(Fixed {
            preview,
            open_url: None,
        })
    }

    /// Runs a fix.
    ///
    /// # Errors
    /// The fix failed; the message says why.
    pub async fn run_fix(&self, server: &str, fixer: Fixer) -> Result<Fixed, String> {
        match fixer {
            Fixer::ShowLogs => self.last_log_lines(server).await,
            Fixer::SignIn => {
                let url = self.sign_in(server).await.map_err(|error| error.to_string())?;
                Ok(Fixed {
                    preview: format!("Complete the sign-in to `{server}` in the browser."),
                    open_url: Some(url),
                })
            }
            Fixer::Retry => {
                self.restart(server).map_err(|error| error.to_string())?;
                Ok(Fixed {
                    preview: format!("`{server}` starts again."),
                    open_url: None,
                })
            }
            Fixer::RaiseTimeout => {
                let (_, after) = self.longer_timeout(server)?;
                let (name, value) = (server.to_owned(), json!(format!("{}s", after.as_secs())));
                let edited = self
                    .config()
                    .edit(move |document| document.set_in_server(&name, "init_timeout", value.clone()))
                    .await;
                edited.map_err(|error| error.to_string())?;
                Ok(Fixed {
                    preview: format!("`{server}` now has {} s to start.", after.as_secs()),
                    open_url: None,
                })
            }
        }
    }

    async fn last_log_lines(&self, server: &str) -> Result<Fixed, String> {
        let path = self.pool().log_of(server);
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || files::last_lines(&path, LOG_LINES)).await;
        let lines =
            read.map_err(|error| error.to_string())?.map_err(|error| format!("could not read `{shown}`: {error}"))?;
        let preview = match lines.is_empty() {
            true => format!("The log of `{server}` is empty: the server has written nothing."),
            false => lines.join("\n"),
        };
        Ok(Fixed {
            preview,
            open_url: None,
        })
    }

    /// Returns a server's current startup timeout, and twice that.
    fn longer_timeout(&self, server: &str) -> Result<(Duration, Duration), String> {
        let config = self.config().current();
        let entry = config.servers.iter().find(|entry| entry.name == server);
        let entry = entry.ok_or_else(|| format!("no server is named `{server}`"))?;
        let usual = if entry.url.is_some() { FIRST_ANSWER } else { FIRST_START };
        let before = entry.init_timeout.unwrap_or(usual);
        let after = before.saturating_mul(2).min(LONGEST_START);
        if after <= before {
            return Err(format!("`{server}` already has {} s to start", before.as_secs()));
        }
        Ok((before, after))
    }
}
