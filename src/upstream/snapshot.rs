//! Upstream servers: what each one's state is, and what a person should know of it.
//!
//! This file holds values; [`crate::upstream::supervise`] keeps one server going, [`crate::upstream::pool`] keeps all of them.

use std::sync::Arc;

use rmcp::model::Tool;

use crate::config::{Protocol, ServerConfig};
use crate::upstream::approvals::PendingTool;
use crate::upstream::sign_in_state::SignIn;

/// Where one upstream server stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Switched off by a person.
    Disabled,
    /// Waits for a person's approval; its process is not started.
    Quarantined,
    /// Starting: the first time a package runner may download for minutes.
    Connecting,
    Connected(Arc<Vec<Tool>>),
    /// It wants to know who asks: it is not tried again before a person has signed in. What it said of that.
    SignInNeeded(Option<String>),
    /// It could not be reached; it is tried again.
    Failed(String),
    /// It cannot work as it is configured; it is not tried again.
    Misconfigured(String),
    /// Its entry refers to this environment variable, which is not set.
    MissingEnvVar(String),
}

/// One upstream server as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub config: Arc<ServerConfig>,
    /// How it is spoken to: as its entry says, or as it turned out.
    pub protocol: Protocol,
    pub phase: Phase,
    /// Tools that wait for approval; they are in no other place.
    pub held: Arc<Vec<PendingTool>>,
    /// Tools that its entry switches off; they are in no other place either.
    pub off: Arc<DisabledTools>,
    /// Connections made after the first one.
    pub reconnects: u32,
    /// Failed attempts since the last connection.
    pub retries: u32,
    /// Name and version the server gives itself.
    pub identity: Option<(String, String)>,
    pub sign_in: SignIn,
}

impl Snapshot {
    /// A server that nothing is known of yet.
    pub fn new(config: Arc<ServerConfig>, phase: Phase) -> Snapshot {
        Snapshot {
            protocol: config.effective_protocol(),
            config,
            phase,
            held: Arc::default(),
            off: Arc::default(),
            reconnects: 0,
            retries: 0,
            identity: None,
            sign_in: SignIn::default(),
        }
    }

    /// Whether its session is open.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// The tools that may be shown and called now.
    pub fn tools(&self) -> &[Tool] {
        match &self.phase {
            Phase::Connected(tools) => tools,
            _ => &[],
        }
    }

    /// Whether a connected server has a tool of this name, be it approved or not, on or off.
    pub fn has_tool(&self, name: &str) -> bool {
        self.tools().iter().any(|tool| tool.name == name)
            || self.held().iter().any(|held| held.tool.name == name)
            || self.off().is_some_and(|off| off.has(name))
    }

    /// The tools that wait for a person's approval.
    pub fn held(&self) -> &[PendingTool] {
        match &self.phase {
            Phase::Connected(_) => &self.held,
            _ => &[],
        }
    }

    /// The list of them itself, where the server is connected.
    pub fn shared_tools(&self) -> Option<Arc<Vec<Tool>>> {
        match &self.phase {
            Phase::Connected(tools) => Some(tools.clone()),
            _ => None,
        }
    }

    /// Lets tools in, as far as they are still the ones that were approved.
    pub fn open(&mut self, approved: &[PendingTool]) {
        let Phase::Connected(tools) = &mut self.phase else { return };
        let (opened, held): (Vec<PendingTool>, Vec<PendingTool>) =
            self.held.iter().cloned().partition(|held| approved.contains(held));
        Arc::make_mut(tools).extend(opened.into_iter().map(|held| held.tool));
        self.held = Arc::new(held);
    }

    /// The environment variable that its entry refers to and that is not set.
    pub fn missing_variable(&self) -> Option<&str> {
        match &self.phase {
            Phase::MissingEnvVar(variable) => Some(variable),
            _ => None,
        }
    }
}

/// Tools that are off.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DisabledTools {
    /// A person has let them in.
    pub approved: Vec<Tool>,
    /// Nobody has; switched on, they wait.
    pub pending: Vec<PendingTool>,
}

impl DisabledTools {
    /// Whether this tool is among them.
    pub fn has(&self, tool: &str) -> bool {
        self.names().any(|name| name == tool)
    }

    /// What they are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let approved = self.approved.iter().map(|tool| tool.name.as_ref());
        approved.chain(self.pending.iter().map(|held| held.tool.name.as_ref()))
    }
}
