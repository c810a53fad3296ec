//! What a person should know about one server: its status, its health with the one thing to do, and its tools' approvals.

use rmcp::model::Tool;
use serde::Serialize;

use crate::upstream::approvals::{PendingTool, ToolFingerprint};
use crate::upstream::sign_in_state::SignIn;
use crate::upstream::snapshot::{Phase, Snapshot};
use crate::upstream::transport::error_text::{first_line, shown};

/// How well a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Healthy,
    Degraded,
    Unhealthy,
}

/// What helps a server that does not work.
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
    pub admin_state: &'static str,
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

impl Level {
    /// The value in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Level::Healthy => "healthy",
            Level::Degraded => "degraded",
            Level::Unhealthy => "unhealthy",
        }
    }
}

impl Action {
    /// The value in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Action::Approve => "approve",
            Action::Enable => "enable",
            Action::Login => "login",
            Action::Restart => "restart",
            Action::Configure => "configure",
            Action::SetSecret => "set_secret",
        }
    }
}

impl Approval {
    /// The value in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Approval::Approved => "approved",
            Approval::Pending => "pending",
            Approval::Changed => "changed",
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
    pub fn status(&self) -> &'static str {
        match self.phase {
            Phase::Disabled => "disabled",
            Phase::Quarantined => "quarantined",
            Phase::Connecting => "connecting",
            Phase::Connected(_) => "connected",
            Phase::SignInNeeded(_) | Phase::Failed(_) | Phase::Misconfigured(_) | Phase::MissingEnvVar(_) => "error",
        }
    }

    /// The status of the sign-in in one word; `None` if the server does not ask for one.
    pub fn sign_in_status(&self) -> Option<&'static str> {
        match (&self.phase, &self.sign_in) {
            (_, SignIn { address: Some(_), .. }) => Some("pending"),
            (_, SignIn { failed: Some(_), .. }) => Some("error"),
            (_, SignIn { provider: Some(_), .. }) => Some("authenticated"),
            (Phase::SignInNeeded(_), _) => Some("none"),
            _ => None,
        }
    }

    /// Why the server does not work, for a person.
    pub fn last_error(&self) -> Option<String> {
        match &self.phase {
            Phase::Failed(error) | Phase::Misconfigured(error) => Some(error.clone()),
            Phase::SignInNeeded(_) => Some(self.sign_in_needed()),
            Phase::MissingEnvVar(variable) => Some(format!(
                "environment variable `{variable}` is not set, but the server's entry refers to it: set it where MCPProxy is \
                 started, and restart MCPProxy"
            )),
            _ => None,
        }
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
            Phase::Connected(_) if !self.held().is_empty() => {
                let summary = format!("Connected ({tools} tools, {} to approve)", self.held().len());
                (Level::Degraded, summary, Some(Action::Approve))
            }
            Phase::Connected(_) if tools == 1 => (Level::Healthy, "Connected (1 tool)".to_owned(), None),
            Phase::Connected(_) => (Level::Healthy, format!("Connected ({tools} tools)"), None),
            Phase::Connecting => (Level::Degraded, "Starting".to_owned(), None),
            Phase::Disabled => (Level::Healthy, "Disabled".to_owned(), Some(Action::Enable)),
            Phase::Quarantined => (Level::Healthy, "Needs approval".to_owned(), Some(Action::Approve)),
            Phase::SignInNeeded(_) if self.sign_in.address.is_some() => {
                (Level::Degraded, "Waiting for you to sign in (browser)".to_owned(), Some(Action::Login))
            }
            Phase::SignInNeeded(_) => (Level::Unhealthy, "Sign-in needed".to_owned(), Some(Action::Login)),
            Phase::Failed(error) => (Level::Unhealthy, first_line(error), Some(Action::Restart)),
            Phase::Misconfigured(error) => (Level::Unhealthy, first_line(error), Some(Action::Configure)),
            Phase::MissingEnvVar(variable) => {
                (Level::Unhealthy, format!("`{variable}` is not set"), Some(Action::SetSecret))
            }
        };
        let admin_state = match (self.config.enabled, self.config.quarantined) {
            (false, _) => "disabled",
            (true, true) => "quarantined",
            (true, false) => "enabled",
        };
        Health {
            level,
            admin_state,
            summary,
            detail: self.last_error(),
            action,
        }
    }

    /// Every tool of a connected server: approved ones first, disabled ones after the enabled ones of their kind.
    pub fn tool_approvals(&self) -> Vec<ToolApproval<'_>> {
        let off = self.off();
        let approved = self.tools().iter().map(ToolApproval::approved);
        let approved_off =
            off.into_iter().flat_map(|off| &off.approved).map(ToolApproval::approved).map(ToolApproval::disabled);
        let pending = self.held().iter().map(ToolApproval::pending);
        let pending_off =
            off.into_iter().flat_map(|off| &off.pending).map(ToolApproval::pending).map(ToolApproval::disabled);
        approved.chain(approved_off).chain(pending).chain(pending_off).collect()
    }
}
