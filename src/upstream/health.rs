//! Status, health and tool approvals of one server, for REST, models and the tray.

use std::time::{Duration, Instant};

use rmcp::model::Tool;
use serde::Serialize;

use crate::contract::words::{AdminState, ApprovalStatus, HealthAction, HealthLevel, ServerStatus, SignInStatus};
use crate::upstream::approvals::{PendingTool, ToolFingerprint};
use crate::upstream::sign_in_state::SignIn;
use crate::upstream::snapshot::{Phase, Snapshot};
use crate::upstream::transport::error_text::{first_line, shown};

/// A start that takes longer is reported.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How well a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Healthy,
    Degraded,
    Unhealthy,
}

/// The one thing to do about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Approve,
    Enable,
    Login,
    Restart,
    Configure,
    SetSecret,
}

/// A server's health, in the shape that REST and models receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    pub level: Level,
    pub admin_state: AdminState,
    pub summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// Whether a tool may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    Approved,
    Pending,
    Changed,
}

/// One tool of a connected server with its approval.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolApproval<'a> {
    pub tool: &'a Tool,
    pub fingerprint: ToolFingerprint,
    /// The approved version of a tool that has changed.
    pub before: Option<&'a ToolFingerprint>,
    pub approval: Approval,
    pub disabled: bool,
}

impl From<Level> for HealthLevel {
    fn from(level: Level) -> HealthLevel {
        match level {
            Level::Healthy => HealthLevel::Healthy,
            Level::Degraded => HealthLevel::Degraded,
            Level::Unhealthy => HealthLevel::Unhealthy,
        }
    }
}

impl From<Approval> for ApprovalStatus {
    fn from(approval: Approval) -> ApprovalStatus {
        match approval {
            Approval::Approved => ApprovalStatus::Approved,
            Approval::Pending => ApprovalStatus::Pending,
            Approval::Changed => ApprovalStatus::Changed,
        }
    }
}

impl From<Action> for HealthAction {
    fn from(action: Action) -> HealthAction {
        match action {
            Action::Approve => HealthAction::Approve,
            Action::Enable => HealthAction::Enable,
            Action::Login => HealthAction::Login,
            Action::Restart => HealthAction::Restart,
            Action::Configure => HealthAction::Configure,
            Action::SetSecret => HealthAction::SetSecret,
        }
    }
}

impl<'a> ToolApproval<'a> {
    /// A tool that may be shown and called.
    pub fn approved(tool: &'a Tool) -> ToolApproval<'a> {
        ToolApproval {
            tool,
            fingerprint: ToolFingerprint::of(tool),
            before: None,
            approval: Approval::Approved,
            disabled: false,
        }
    }

    fn disabled(self) -> ToolApproval<'a> {
        ToolApproval { disabled: true, ..self }
    }

    fn pending(pending: &'a PendingTool) -> ToolApproval<'a> {
        ToolApproval {
            tool: &pending.tool,
            fingerprint: pending.fingerprint.clone(),
            before: pending.before.as_ref(),
            approval: if pending.before.is_some() { Approval::Changed } else { Approval::Pending },
            disabled: false,
        }
    }
}

impl Snapshot {
    /// The server's status in one word.
    pub fn status(&self) -> ServerStatus {
        match self.phase {
            Phase::Disabled => ServerStatus::Disabled,
            Phase::Quarantined => ServerStatus::Quarantined,
            Phase::Connecting => ServerStatus::Connecting,
            Phase::Connected(_) => ServerStatus::Connected,
            Phase::SignInNeeded(_) | Phase::Failed(_) | Phase::Misconfigured(_) | Phase::MissingEnvVar(_) => {
                ServerStatus::Error
            }
        }
    }

    /// The status of the sign-in in one word; `None` if the server does not ask for one.
    pub fn sign_in_status(&self) -> Option<SignInStatus> {
        match (&self.phase, &self.sign_in) {
            (_, SignIn { address: Some(_), .. }) => Some(SignInStatus::Pending),
            (_, SignIn { failed: Some(_), .. }) => Some(SignInStatus::Error),
            (_, SignIn { provider: Some(_), .. }) => Some(SignInStatus::Authenticated),
            (Phase::SignInNeeded(_), _) => Some(SignInStatus::None),
            _ => None,
        }
    }

    /// Why the server does not work, for a person.
    pub fn last_error(&self) -> Option<String> {
        match &self.phase {
            Phase::Failed(error) => Some(self.with_attempts(&error.text)),
            Phase::Misconfigured(error) => Some(error.text.clone()),
            Phase::Connecting => self.startup_trouble(Instant::now()),
            Phase::SignInNeeded(_) => Some(self.sign_in_needed()),
            Phase::MissingEnvVar(variable) => Some(format!(
                "environment variable `{variable}` is not set, but the server's entry refers to it: set it where MCPProxy is \
                 started, and restart MCPProxy"
            )),
            _ => None,
        }
    }

    /// An error with the number of failed attempts, if there were several.
    fn with_attempts(&self, error: &str) -> String {
        if self.retries < 2 {
            return error.to_owned();
        }
        let (first, rest) = error.split_at(error.find('\n').unwrap_or(error.len()));
        format!("{first} ({} attempts failed; retrying){rest}", self.retries)
    }

    /// Why a starting server may not work: it does not answer, or the last attempt failed.
    fn startup_trouble(&self, now: Instant) -> Option<String> {
        if let Some(attempt) = &self.attempt {
            let waited = now.saturating_duration_since(attempt.since);
            if waited >= PATIENCE {
                let error = format!(
                    "no reply to `initialize` for {} s (attempt {}, gives up after {} s)",
                    waited.as_secs(),
                    self.retries + 1,
                    attempt.limit.as_secs()
                );
                return Some(attempt.stderr.explain(&error));
            }
        }
        self.last_failure.as_ref().map(|error| self.with_attempts(&error.text))
    }

    fn sign_in_needed(&self) -> String {
        let name = &self.config.name;
        match &self.sign_in.failed {
            Some(why) => format!("sign-in failed: {why}"),
            None => format!(
                "`{}` requires sign-in: run `mcpproxy upstream login {name}`, use the tray menu, or set an `Authorization` \
                 header",
                shown(self.config.url.as_deref().unwrap_or_default())
            ),
        }
    }

    /// The server's health, and the one thing to do.
    pub fn health(&self) -> Health {
        let tools = self.tools().len();
        let (level, summary, action) = match &self.phase {
            Phase::Connected(_) if !self.pending_tools().is_empty() => {
                let summary = format!("Connected ({tools} tools, {} to approve)", self.pending_tools().len());
                (Level::Degraded, summary, Some(Action::Approve))
            }
            Phase::Connected(_) if tools == 1 => (Level::Healthy, "Connected (1 tool)".to_owned(), None),
            Phase::Connected(_) => (Level::Healthy, format!("Connected ({tools} tools)"), None),
            Phase::Connecting => match self.last_error() {
                Some(error) => (Level::Degraded, format!("Starting: {}", first_line(&error)), Some(Action::Restart)),
                None => (Level::Degraded, "Starting".to_owned(), None),
            },
            Phase::Disabled => (Level::Healthy, "Disabled".to_owned(), Some(Action::Enable)),
            Phase::Quarantined => (Level::Healthy, "Needs approval".to_owned(), Some(Action::Approve)),
            Phase::SignInNeeded(_) if self.sign_in.address.is_some() => {
                (Level::Degraded, "Waiting for you to sign in (browser)".to_owned(), Some(Action::Login))
            }
            Phase::SignInNeeded(_) => (Level::Unhealthy, "Sign-in needed".to_owned(), Some(Action::Login)),
            Phase::Failed(error) => {
                (Level::Unhealthy, first_line(&self.with_attempts(&error.text)), Some(Action::Restart))
            }
            Phase::Misconfigured(error) => (Level::Unhealthy, first_line(&error.text), Some(Action::Configure)),
            Phase::MissingEnvVar(variable) => {
                (Level::Unhealthy, format!("`{variable}` is not set"), Some(Action::SetSecret))
            }
        };
        let admin_state = match (self.config.enabled, self.config.quarantined) {
            (false, _) => AdminState::Disabled,
            (true, true) => AdminState::Quarantined,
            (true, false) => AdminState::Enabled,
        };
        Health {
            level,
            admin_state,
            summary,
            detail: self.last_error(),
            action,
        }
    }

    /// Returns the number of [`Snapshot::tool_approvals`].
    pub fn tool_count(&self) -> usize {
        let off = self.off().map_or(0, |off| off.approved.len() + off.pending.len());
        self.tools().len() + self.pending_tools().len() + off
    }

    /// Every tool of a connected server: approved ones first, disabled ones after the enabled ones of their kind.
    pub fn tool_approvals(&self) -> Vec<ToolApproval<'_>> {
        let off = self.off();
        let approved = self.tools().iter().map(ToolApproval::approved);
        let approved_off =
            off.into_iter().flat_map(|off| &off.approved).map(ToolApproval::approved).map(ToolApproval::disabled);
        let pending = self.pending_tools().iter().map(ToolApproval::pending);
        let pending_off =
            off.into_iter().flat_map(|off| &off.pending).map(ToolApproval::pending).map(ToolApproval::disabled);
        approved.chain(approved_off).chain(pending).chain(pending_off).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ServerConfig;
    use crate::upstream::snapshot::Attempt;
    use crate::upstream::stderr_tail::StderrTail;

    fn starting() -> Snapshot {
        Snapshot::new(Arc::new(ServerConfig::default()), Phase::Connecting)
    }

    #[test]
    fn a_server_that_does_not_answer_is_reported_with_time_attempt_and_output() {
        let mut server = starting();
        let stderr = StderrTail::default();
        let attempt = Attempt::new(Duration::from_secs(180), stderr.clone());
        let since = attempt.since;
        server.attempt = Some(attempt);
        assert_eq!(server.startup_trouble(since + Duration::from_secs(7)), None);
        let expected = "no reply to `initialize` for 35 s (attempt 1, gives up after 180 s)";
        assert_eq!(server.startup_trouble(since + Duration::from_secs(35)).as_deref(), Some(expected));
        stderr.push(b"downloading\n");
        let explained = server.startup_trouble(since + Duration::from_secs(35)).unwrap();
        assert_eq!(explained, format!("{expected}: downloading"));
    }

    #[test]
    fn the_last_error_stays_visible_while_the_next_attempt_runs() {
        let mut server = starting();
        server.note_failure("exited (exit status: 1): KeyError\nIts last output:\n  x".into());
        server.note_failure("exited (exit status: 1): KeyError\nIts last output:\n  x".into());
        let failed = server.last_error().unwrap();
        assert_eq!(failed.lines().next(), Some("exited (exit status: 1): KeyError (2 attempts failed; retrying)"));
        server.phase = Phase::Connecting;
        assert_eq!(server.last_error(), Some(failed));
        let health = server.health();
        assert!(
            health.summary.starts_with("Starting: exited") && health.level == Level::Degraded,
            "{}",
            health.summary
        );
    }
}
