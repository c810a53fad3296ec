//! The tray's knowledge. Everything the user sees is computed from it alone.

use crate::contract::api::{AiClient, ProblemSeverity, Profile, Server, ServerStatus, Servers, TelemetryState, Update};
use crate::tray::autostart;
use crate::tray::supervisor::{State, Whose};

/// Everything the tray knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// This program's version.
    pub version: &'static str,
    pub core: State,
    /// `host:port` of the running core, once known.
    pub listen: Option<String>,
    pub servers: Vec<Server>,
    pub autostart: autostart::Status,
    /// Telemetry state of the running core, once known.
    pub statistics: Option<TelemetryState>,
    /// The AI clients that the running core reports.
    pub clients: Vec<AiClient>,
    /// The error of the last failed action, until another action succeeds.
    pub trouble: Option<String>,
    /// The core's error about a configuration that it did not apply.
    pub configuration: Option<String>,
    /// The next step for the user after a successful action, until the next action.
    pub hint: Option<String>,
    /// A newer release that the running core reports.
    pub update: Option<Update>,
    /// Version of the running core.
    pub core_version: String,
    /// The running core is the Go core.
    pub is_go_core: bool,
    /// The running core is a Go core that is stopping.
    pub is_ending: bool,
    /// The running core serves HTTPS.
    pub is_https: bool,
    /// The profiles that the running core knows.
    pub profiles: Vec<Profile>,
    /// The profile of clients that choose none; empty for no limit.
    pub active_profile: String,
    /// URL of the running core's web UI. The Go core's contains its key, so the tray opens it but never shows it.
    pub dashboard: Option<String>,
    /// A free address, if the core's own is in use.
    pub other_address: Option<String>,
    /// The preference *Start core automatically*.
    pub starts_core: bool,
    /// The program file on disk differs from the running program.
    pub updated: bool,
    /// This desktop shows no tray icons.
    pub host_missing: bool,
}

/// The state that the icon shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Normal,
    Attention,
    Error,
    Stopped,
}

impl Model {
    /// A model without a core.
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
            is_go_core: false,
            is_ending: false,
            is_https: false,
            profiles: Vec::new(),
            active_profile: String::new(),
            dashboard: None,
            other_address: None,
            starts_core: true,
            updated: false,
            host_missing: false,
        }
    }

    /// Replaces the servers, sorted by name because the core's order is not stable.
    pub fn set_servers(&mut self, servers: Servers) {
        self.servers = servers.servers;
        self.servers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Follows the supervisor's state; without a core there are no servers and no address.
    pub fn set_core(&mut self, state: &State) {
        self.core = state.clone();
        if !self.serving() {
            self.servers.clear();
            self.listen = None;
            self.statistics = None;
            self.configuration = None;
            self.clients.clear();
            self.profiles.clear();
            self.active_profile.clear();
            self.is_go_core = false;
            self.is_ending = false;
            self.is_https = false;
            self.dashboard = None;
            self.update = None;
        }
        if !self.port_taken() {
            self.other_address = None;
        }
    }

    /// Whether a core is running and connected.
    pub fn serving(&self) -> bool {
        matches!(self.core, State::Running(_) | State::Rejoining { .. })
    }

    /// Whether this tray may stop the running core.
    pub fn ours(&self) -> bool {
        match self.core {
            State::Running(core) | State::Rejoining { core, .. } => core.whose != Whose::Foreign,
            _ => false,
        }
    }

    /// Whether the running core is older than the bundled one, and this tray may not replace it without a request.
    pub fn older_core(&self) -> bool {
        matches!(self.core, State::Running(core) if core.older)
    }

    /// Whether the core failed because its port is in use.
    pub fn port_taken(&self) -> bool {
        matches!(&self.core, State::Failed(failure) if failure.is_port())
    }

    /// The version to show: that of the running core, which need not be ours.
    pub fn shown_version(&self) -> &str {
        let core = self.core_version.strip_prefix('v').unwrap_or(&self.core_version);
        if self.serving() && !core.is_empty() { core } else { self.version }
    }

    /// The core's state in one word.
    pub fn word(&self) -> &'static str {
        match self.core {
            State::Looking { .. } | State::Starting { .. } => "starting",
            State::Running(_) | State::Rejoining { .. } if self.is_ending => "stopping",
            State::Running(_) => "running",
            State::Rejoining { .. } => "reconnecting",
            State::Pausing(_) => "restarting",
            State::Stopping { .. } | State::Left => "stopping",
            State::Stopped => "stopped",
            State::Failed(_) => "error",
            State::Absent { .. } => "no core",
        }
    }

    /// A one-line summary: the numbers, or the problem.
    pub fn summary(&self) -> String {
        match &self.core {
            State::Failed(failure) | State::Pausing(failure) => failure.sentence(),
            State::Looking { .. } | State::Starting { .. } => "Starting the core…".to_owned(),
            State::Stopping { .. } | State::Left => "Stopping the core…".to_owned(),
            State::Stopped => "The core is stopped".to_owned(),
            State::Absent { .. } => "No core is running".to_owned(),
            State::Running(_) | State::Rejoining { .. } if self.is_ending => "Stopping the core…".to_owned(),
            State::Rejoining { .. } => "Reconnecting to the core…".to_owned(),
            State::Running(_) => self.numbers(),
        }
    }

    /// A suggestion for the user.
    pub fn advice(&self) -> Option<&'static str> {
        match &self.core {
            State::Failed(failure) | State::Pausing(failure) => Some(failure.advice()),
            State::Absent { .. } => Some("The tray will connect as soon as a core is running"),
            _ => None,
        }
    }

    pub fn mood(&self) -> Mood {
        match self.core {
            State::Failed(_) => Mood::Error,
            State::Pausing(_) | State::Rejoining { .. } => Mood::Attention,
            State::Running(_) if self.servers.iter().any(has_error) => Mood::Error,
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

/// Whether a server needs the user: it failed, needs approval, or requires an action.
pub fn needs_attention(server: &Server) -> bool {
    if !server.enabled {
        return false;
    }
    let asks = server
        .health
        .as_ref()
        .and_then(|health| health.action.as_ref())
        .is_some_and(|action| !action.word().is_empty());
    // The Go core reports a server with new or changed tools as healthy.
    let held = server.waiting_tools().is_some();
    asks || held || server.quarantined || server.status == ServerStatus::Error
}

/// Whether an enabled server has a problem that is an error, not a warning.
fn has_error(server: &Server) -> bool {
    server.enabled && server.diagnostic.as_ref().is_some_and(|problem| problem.severity == ProblemSeverity::Error)
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
            let connected = || format!("connected · {} tool{s}", server.tool_count);
            // Short, because the menu cuts it.
            let counts = server.quarantine.unwrap_or_default();
            match counts.pending_count + counts.changed_count {
                0 => connected(),
                1 => "1 tool to approve".to_owned(),
                count => format!("{count} tools to approve"),
            }
        }
        (_, Some(error)) if !error.trim().is_empty() => error.clone(),
        _ if !summary.is_empty() => summary.to_owned(),
        ("", _) if server.connecting => "connecting".to_owned(),
        ("", _) => "not connected".to_owned(),
        (status, _) => status.to_owned(),
    }
}
