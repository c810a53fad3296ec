//! The state of one upstream server, as a value. [`crate::upstream::supervise`] updates it; [`crate::upstream::pool`] holds all of
//! them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::model::Tool;

use crate::config::{Protocol, ServerConfig};
use crate::diagnostics::fault::Failure;
use crate::upstream::approvals::PendingTool;
use crate::upstream::isolation::plan::Choice;
use crate::upstream::sign_in_state::SignIn;
use crate::upstream::stderr_tail::StderrTail;
use crate::upstream::waiting::ServerWait;

/// The phase of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Disabled in its entry.
    Disabled,
    /// Needs approval; its process is not started.
    Quarantined,
    /// Starting. The first time, a package runner may download for minutes.
    Connecting,
    Connected(Arc<Vec<Tool>>),
    /// Authentication required; no retry until sign-in. Holds the `WWW-Authenticate` value.
    SignInNeeded(Option<String>),
    /// Could not be reached; retried.
    Failed(Failure),
    /// Cannot work as configured; not retried.
    Misconfigured(Failure),
    /// The entry refers to this environment variable, which is not set.
    MissingEnvVar(String),
}

/// One upstream server as seen from outside its task.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub config: Arc<ServerConfig>,
    /// The protocol of its entry, or the one that was found to work.
    pub protocol: Protocol,
    pub phase: Phase,
    /// Tools that need approval; never part of the connected tools.
    pub pending: Arc<Vec<PendingTool>>,
    /// Tools that its entry disables; never part of the connected tools.
    pub off: Arc<DisabledTools>,
    /// Connections made after the first one.
    pub reconnects: u32,
    /// Failed attempts since the last connection.
    pub retries: u32,
    /// Name and version the server gives itself.
    pub identity: Option<(String, String)>,
    pub sign_in: SignIn,
    /// The error of the last failed attempt since the last connection; kept while the next attempt runs.
    pub last_failure: Option<Failure>,
    /// When the failure that is shown was seen first; `None` while there is none.
    pub failed_at: Option<jiff::Timestamp>,
    /// The attempt to connect that is running.
    pub attempt: Option<Attempt>,
    /// The event that it waits for before it is connected.
    pub wait: Option<ServerWait>,
    /// The isolation of its last start; `None` before the first.
    pub isolation: Option<Choice>,
}

/// An attempt to connect.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub since: Instant,
    pub limit: Duration,
    pub stderr: StderrTail,
}

impl Attempt {
    /// One that starts now.
    pub fn new(limit: Duration, stderr: StderrTail) -> Attempt {
        Attempt {
            since: Instant::now(),
            limit,
            stderr,
        }
    }
}

impl Snapshot {
    /// A server of which nothing is known yet.
    pub fn new(config: Arc<ServerConfig>, phase: Phase) -> Snapshot {
        Snapshot {
            protocol: config.effective_protocol(),
            config,
            phase,
            pending: Arc::default(),
            off: Arc::default(),
            reconnects: 0,
            retries: 0,
            identity: None,
            sign_in: SignIn::default(),
            last_failure: None,
            failed_at: None,
            attempt: None,
            wait: None,
            isolation: None,
        }
    }

    /// Notes a failed attempt, or the end of a session.
    pub fn note_failure(&mut self, error: Failure) {
        if self.failed_at.is_none() || self.last_failure.as_ref().is_none_or(|last| last.fault != error.fault) {
            self.failed_at = Some(crate::os::clock::now());
        }
        self.last_failure = Some(error.clone());
        self.phase = Phase::Failed(error);
        self.retries += 1;
    }

    /// Whether a session is open.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// Whether its tools are expected soon: it starts, and has not failed since it worked.
    pub fn is_starting(&self) -> bool {
        self.phase == Phase::Connecting && self.last_failure.is_none()
    }

    /// The tools that clients can see and call now.
    pub fn tools(&self) -> &[Tool] {
        match &self.phase {
            Phase::Connected(tools) => tools,
            _ => &[],
        }
    }

    /// Whether a connected server has a tool of this name, approved or not, enabled or not.
    pub fn has_tool(&self, name: &str) -> bool {
        self.tools().iter().any(|tool| tool.name == name)
            || self.pending_tools().iter().any(|pending| pending.tool.name == name)
            || self.off().is_some_and(|off| off.has(name))
    }

    /// The tools that need approval.
    pub fn pending_tools(&self) -> &[PendingTool] {
        match &self.phase {
            Phase::Connected(_) => &self.pending,
            _ => &[],
        }
    }

    /// A connected server's tools, shared.
    pub fn shared_tools(&self) -> Option<Arc<Vec<Tool>>> {
        match &self.phase {
            Phase::Connected(tools) => Some(tools.clone()),
            _ => None,
        }
    }

    /// Publishes approved tools that have not changed in between.
    pub fn open(&mut self, approved: &[PendingTool]) {
        let Phase::Connected(tools) = &mut self.phase else { return };
        let (opened, pending): (Vec<PendingTool>, Vec<PendingTool>) =
            self.pending.iter().cloned().partition(|pending| approved.contains(pending));
        Arc::make_mut(tools).extend(opened.into_iter().map(|opened| opened.tool));
        self.pending = Arc::new(pending);
    }

    /// The environment variable that its entry refers to and that is not set.
    pub fn missing_variable(&self) -> Option<&str> {
        match &self.phase {
            Phase::MissingEnvVar(variable) => Some(variable),
            _ => None,
        }
    }
}

/// Tools that the entry disables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DisabledTools {
    /// Approved.
    pub approved: Vec<Tool>,
    /// Not approved: enabled, they would need approval.
    pub pending: Vec<PendingTool>,
}

impl DisabledTools {
    /// Whether this tool is among them.
    pub fn has(&self, tool: &str) -> bool {
        self.names().any(|name| name == tool)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let approved = self.approved.iter().map(|tool| tool.name.as_ref());
        approved.chain(self.pending.iter().map(|pending| pending.tool.name.as_ref()))
    }
}
