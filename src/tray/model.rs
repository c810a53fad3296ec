//! All that the tray knows. What a person sees is computed from this and from nothing else.

use crate::contract::api::{AiClient, Server, ServerStatus, Servers, TelemetryState, Update};
use crate::tray::autostart;
use crate::tray::supervisor::{State, Whose};

/// The tray's knowledge.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// This program's version.
    pub version: &'static str,
    pub core: State,
    /// `host:port` of the running core, when it has said.
    pub listen: Option<String>,
    pub servers: Vec<Server>,
    pub autostart: autostart::Status,
    /// What the running core says of its telemetry; the existing core does not.
    pub statistics: Option<TelemetryState>,
    /// The AI clients that the running core knows of.
    pub clients: Vec<AiClient>,
    /// The last action that failed, until another succeeds.
    pub trouble: Option<String>,
    /// What the core says of an edit of its configuration that is not in force.
    pub configuration: Option<String>,
    /// What a person is still to do after an action that succeeded, until the next one.
    pub hint: Option<String>,
    /// What the running core knows of a newer release.
    pub update: Option<Update>,
    /// Version of the running core.
    pub core_version: String,
    /// Where the running core shows itself in a browser; ours does not. It holds the key: opened, never shown.
    pub dashboard: Option<String>,
    /// A free address, when the core's own is taken.
    pub other_address: Option<String>,
    /// The preference *Start core automatically*.
    pub starts_core: bool,
    /// The program on the disk is another than the one that runs.
    pub updated: bool,
    /// No panel shows icons here.
    pub host_missing: bool,
}

/// What the icon has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Normal,
    Attention,
    Error,
    Stopped,
}

impl Model {
    /// A model that knows nothing of a core yet.
    pub fn new(version: &'static str, autostart: autostart::Status) -> Model {
        Model {
            version,
            core: State::Looking {
                since: std::time::Duration::ZERO,
            },
            listen: None,
            servers: Vec::new(),
            autostart,
            statistics: None,
            clients: Vec::new(),
            trouble: None,
            configuration: None,
            hint: None,
            update: None,
            core_version: String::new(),
            dashboard: None,
            other_address: None,
            starts_core: true,
            updated: false,
            host_missing: false,
        }
    }

    /// Takes over a list of servers, in the order of their names: the core's order is not stable.
    pub fn set_servers(&mut self, servers: Servers) {
        self.servers = servers.servers;
        self.servers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Takes over the supervisor's state; a core that is gone has no servers and no address.
    pub fn set_core(&mut self, state: &State) {
        self.core = state.clone();
        if !self.serving() {
            self.servers.clear();
            self.listen = None;
            self.statistics = None;
            self.configuration = None;
            self.clients.clear();
            self.dashboard = None;
            self.update = None;
        }
        if !self.port_taken() {
            self.other_address = None;
        }
    }

    /// Whether a core runs and was reached.
    pub fn serving(&self) -> bool {
        matches!(self.core, State::Running(_) | State::Rejoining { .. })
    }

    /// Whether the running core is one that this tray may stop.
    pub fn ours(&self) -> bool {
        match self.core {
            State::Running(core) | State::Rejoining { core, .. } => core.whose != Whose::Foreign,
            _ => false,
        }
    }

    /// Whether the running core is older than the one that came with this tray, and not ours to replace unasked.
    pub fn older_core(&self) -> bool {
        matches!(self.core, State::Running(core) if core.older)
    }

    /// Whether the core failed for its address.
    pub fn port_taken(&self) -> bool {
        matches!(&self.core, State::Failed(failure) if failure.is_port())
    }

    /// The core's state in one word.
    pub fn word(&self) -> &'static str {
        match self.core {
            State::Looking { .. } | State::Starting { .. } => "starting",
            State::Running(_) => "running",
            State::Rejoining { .. } => "reconnecting",
            State::Pausing(_) => "restarting",
            State::Stopping { .. } | State::Left => "stopping",
            State::Stopped => "stopped",
            State::Failed(_) => "error",
            State::Absent { .. } => "no core",
        }
    }

    /// One line on how things are: the numbers, or what is wrong.
    pub fn summary(&self) -> String {
        match &self.core {
            State::Failed(failure) | State::Pausing(failure) => failure.sentence(),
            State::Looking { .. } | State::Starting { .. } => "Starting the core…".to_owned(),
            State::Stopping { .. } | State::Left => "Stopping the core…".to_owned(),
            State::Stopped => "The core is stopped".to_owned(),
            State::Absent { .. } => "No core is running".to_owned(),
            State::Rejoining { .. } => "Reconnecting to the core…".to_owned(),
            State::Running(_) => self.numbers(),
        }
    }

    /// What a person may do about it.
    pub fn advice(&self) -> Option<&'static str> {
        match &self.core {
            State::Failed(failure) | State::Pausing(failure) => Some(failure.advice()),
            State::Absent { .. } => Some("The tray will connect as soon as a core is running"),
            _ => None,
        }
    }

    /// The icon's mood.
    pub fn mood(&self) -> Mood {
        match self.core {
            State::Failed(_) => Mood::Error,
            State::Pausing(_) | State::Rejoining { .. } => Mood::Attention,
            State::Running(_)
                if self.trouble.is_some()
                    || self.configuration.is_some()
                    || self.servers.iter().any(needs_attention) =>
            {
                Mood::Attention
            }
            State::Running(_) => Mood::Normal,
            State::Looking { .. }
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::Stopped
            | State::Absent { .. }
            | State::Left => Mood::Stopped,
        }
    }

    fn numbers(&self) -> String {
        let wanted = self.servers.iter().filter(|server| server.enabled).count();
        if self.servers.is_empty() {
            return "No servers yet".to_owned();
        }
        let connected = self.servers.iter().filter(|server| server.enabled && server.connected).count();
        let tools: u64 =
            self.servers.iter().filter(|server| server.connected).map(|server| u64::from(server.tool_count)).sum();
        let s = if wanted == 1 { "" } else { "s" };
        let t = if tools == 1 { "" } else { "s" };
        format!("{connected} of {wanted} server{s} · {tools} tool{t}")
    }
}

/// Whether a server waits for a person: it failed, needs approval, or asks for something.
pub fn needs_attention(server: &Server) -> bool {
    if !server.enabled {
        return false;
    }
    let asks = server
        .health
        .as_ref()
        .and_then(|health| health.action.as_ref())
        .is_some_and(|action| !action.word().is_empty());
    // The Go core calls a server with new or changed tools healthy.
    let held = server.quarantine.is_some_and(|counts| counts.pending_count + counts.changed_count > 0);
    asks || held || server.quarantined || server.status == ServerStatus::Error
}

/// A server's state in a few words.
pub fn server_state(server: &Server) -> String {
    if !server.enabled {
        return "disabled".to_owned();
    }
    let summary = server.health.as_ref().map(|health| health.summary.trim()).unwrap_or_default();
    match (server.status.word(), &server.last_error) {
        _ if server.quarantined => "needs approval".to_owned(),
        _ if server.connected => {
            let s = if server.tool_count == 1 { "" } else { "s" };
            format!("connected · {} tool{s}", server.tool_count)
        }
        (_, Some(error)) if !error.trim().is_empty() => error.clone(),
        _ if !summary.is_empty() => summary.to_owned(),
        ("", _) if server.connecting => "connecting".to_owned(),
        ("", _) => "not connected".to_owned(),
        (status, _) => status.to_owned(),
    }
}
