//! Upstream servers: what each one's state is, and what a person should know of it.
//!
//! This file holds values; [`crate::upstream::supervise`] keeps one server going, [`crate::upstream::pool`] keeps all of them.

use std::sync::Arc;

use rmcp::model::Tool;

use crate::upstream::approvals::{PendingTool, ToolFingerprint};
pub use crate::upstream::oauth::SignIn;
pub use crate::upstream::tool_filter::DisabledTools;
pub use crate::upstream::transport::http::prepare;

use crate::config::{Protocol, ServerConfig};
use crate::contract::api::{
    Health, QuarantineCounts, Server, ServerStats, ServerTool, ServerTools, UpstreamState, UpstreamStats,
};

/// The longest message of a server that is taken, over HTTP as over its standard output.
pub(crate) const LONGEST_ANSWER: usize = rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH;

/// What whoever waits for a longer one is told.
pub(crate) fn too_long(limit: usize) -> String {
    format!("the server's answer is longer than {} MiB and was not taken: ask it for less at once", limit >> 20)
}

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
    pub(crate) fn open(&mut self, approved: &[PendingTool]) {
        let Phase::Connected(tools) = &mut self.phase else { return };
        let (opened, held): (Vec<PendingTool>, Vec<PendingTool>) =
            self.held.iter().cloned().partition(|held| approved.contains(held));
        Arc::make_mut(tools).extend(opened.into_iter().map(|held| held.tool));
        self.held = Arc::new(held);
    }

    fn quarantine(&self) -> Option<QuarantineCounts> {
        let changed = self.held().iter().filter(|held| held.before.is_some()).count();
        let counts = QuarantineCounts {
            pending_count: count(self.held().len() - changed),
            changed_count: count(changed),
            blocked_count: 0,
        };
        (!self.held().is_empty()).then_some(counts)
    }

    /// Every tool of a connected server with its approval, as `GET /api/v1/servers/{name}/tools` shows it.
    pub fn tools_to_api(&self) -> ServerTools {
        let off = |shown: ServerTool| ServerTool {
            disabled: true,
            ..shown
        };
        let open = self.tools().iter().map(|tool| approved_tool(&self.config.name, tool));
        let open_off = self.off().into_iter().flat_map(|off| &off.approved);
        let open = open.chain(open_off.map(|tool| off(approved_tool(&self.config.name, tool))));
        let held = |held: &PendingTool| {
            let status = if held.before.is_some() { "changed" } else { "pending" };
            let shown = tool_to_api(&self.config.name, &held.tool, &held.print, status);
            let Some(before) = &held.before else { return shown };
            ServerTool {
                previous_description: Some(before.description.clone()),
                changes: held.print.differences(before).into_iter().map(str::to_owned).collect(),
                ..shown
            }
        };
        let held_off = self.off().into_iter().flat_map(|off| &off.held);
        let waiting = self.held().iter().map(held).chain(held_off.map(|tool| off(held(tool))));
        let tools: Vec<ServerTool> = open.chain(waiting).collect();
        ServerTools {
            server_name: self.config.name.clone(),
            count: count(tools.len()),
            tools,
        }
    }

    fn word(&self) -> &'static str {
        match self.phase {
            Phase::Disabled => "disabled",
            Phase::Quarantined => "quarantined",
            Phase::Connecting => "connecting",
            Phase::Connected(_) => "connected",
            Phase::SignInNeeded(_) | Phase::Failed(_) | Phase::Misconfigured(_) | Phase::MissingEnvVar(_) => "error",
        }
    }

    /// What is wrong, for a person.
    pub fn last_error(&self) -> Option<String> {
        match &self.phase {
            Phase::Failed(error) | Phase::Misconfigured(error) => Some(error.clone()),
            Phase::SignInNeeded(_) => Some(self.sign_in_needed()),
            Phase::MissingEnvVar(variable) => Some(format!(
                "the environment variable `{variable}`, which its entry refers to, is not set: set it where the core is started, and start the core again"
            )),
            _ => None,
        }
    }

    /// The environment variable that its entry refers to and that is not set.
    pub fn missing_variable(&self) -> Option<&str> {
        match &self.phase {
            Phase::MissingEnvVar(variable) => Some(variable),
            _ => None,
        }
    }

    /// Why a person has to sign in, and how else the server can be told who asks.
    fn sign_in_needed(&self) -> String {
        let name = &self.config.name;
        match &self.sign_in.failed {
            Some(why) => format!("the sign-in failed: {why}"),
            None => format!(
                "`{}` wants to know who asks: sign in from the tray's menu or with `mcpproxy upstream login {name}`, or set \
                 what it expects in `headers`",
                crate::upstream::transport::http::shown(self.config.url.as_deref().unwrap_or_default())
            ),
        }
    }

    /// The server as `GET /api/v1/servers` shows it.
    pub fn to_api(&self) -> Server {
        Server {
            id: self.config.name.clone(),
            name: self.config.name.clone(),
            enabled: self.config.enabled,
            quarantined: self.config.quarantined,
            connected: matches!(self.phase, Phase::Connected(_)),
            connecting: matches!(self.phase, Phase::Connecting),
            protocol: self.protocol.word().to_owned(),
            status: self.word().to_owned(),
            url: self.config.url.as_deref().map(crate::upstream::transport::http::shown),
            command: self.config.command.clone(),
            args: self.config.args.clone(),
            last_error: self.last_error(),
            tool_count: count(self.tools().len()),
            reconnect_count: self.reconnects,
            quarantine: self.quarantine(),
            health: Some(self.health()),
            authenticated: self.sign_in.provider.is_some(),
            oauth_status: self.oauth_status().map(str::to_owned),
        }
    }

    /// Where signing in stands, in the word of the REST shape; `None` where it is not asked for.
    pub fn oauth_status(&self) -> Option<&'static str> {
        match (&self.phase, &self.sign_in) {
            (_, SignIn { address: Some(_), .. }) => Some("pending"),
            (_, SignIn { failed: Some(_), .. }) => Some("error"),
            (_, SignIn { provider: Some(_), .. }) => Some("authenticated"),
            (Phase::SignInNeeded(_), _) => Some("none"),
            _ => None,
        }
    }

    /// What a person should know, and the one thing to do.
    pub fn health(&self) -> Health {
        let tools = self.tools().len();
        let (level, summary, action) = match &self.phase {
            Phase::Connected(_) if !self.held().is_empty() => {
                let summary = format!("Connected ({tools} tools, {} to approve)", self.held().len());
                ("degraded", summary, Some("approve"))
            }
            Phase::Connected(_) if tools == 1 => ("healthy", "Connected (1 tool)".to_owned(), None),
            Phase::Connected(_) => ("healthy", format!("Connected ({tools} tools)"), None),
            Phase::Connecting => ("degraded", "Starting".to_owned(), None),
            Phase::Disabled => ("healthy", "Disabled".to_owned(), Some("enable")),
            Phase::Quarantined => ("healthy", "Waits for approval".to_owned(), Some("approve")),
            Phase::SignInNeeded(_) if self.sign_in.address.is_some() => {
                ("degraded", "Waits for you in the browser".to_owned(), Some("login"))
            }
            Phase::SignInNeeded(_) => ("unhealthy", "Sign-in needed".to_owned(), Some("login")),
            Phase::Failed(error) => ("unhealthy", first_line(error), Some("restart")),
            Phase::Misconfigured(error) => ("unhealthy", first_line(error), Some("configure")),
            Phase::MissingEnvVar(variable) => ("unhealthy", format!("`{variable}` is not set"), Some("set_secret")),
        };
        let admin_state = match (self.config.enabled, self.config.quarantined) {
            (false, _) => "disabled",
            (true, true) => "quarantined",
            (true, false) => "enabled",
        };
        Health {
            level: level.to_owned(),
            admin_state: admin_state.to_owned(),
            summary,
            detail: self.last_error(),
            action: action.map(str::to_owned),
        }
    }

    fn to_state(&self) -> UpstreamState {
        let (server_name, server_version) = self.identity.clone().unzip();
        UpstreamState {
            name: self.config.name.clone(),
            state: self.word().to_owned(),
            connected: matches!(self.phase, Phase::Connected(_)),
            connecting: matches!(self.phase, Phase::Connecting),
            retry_count: self.retries,
            should_retry: matches!(self.phase, Phase::Failed(_)),
            tool_count: count(self.tools().len()),
            protocol: Some(self.protocol.word().to_owned()),
            last_error: self.last_error(),
            server_name,
            server_version,
        }
    }
}

/// A tool that may be shown and called, as REST shows it.
pub fn approved_tool(server: &str, tool: &Tool) -> ServerTool {
    tool_to_api(server, tool, &ToolFingerprint::of(tool), "approved")
}

fn tool_to_api(server: &str, tool: &Tool, print: &ToolFingerprint, status: &str) -> ServerTool {
    ServerTool {
        name: tool.name.to_string(),
        server_name: server.to_owned(),
        description: print.description.clone(),
        approval_status: status.to_owned(),
        hash: print.hash(&tool.name),
        schema: serde_json::Value::Object(tool.input_schema.as_ref().clone()),
        ..ServerTool::default()
    }
}

/// Counts over all servers, with each one's state.
pub fn upstream_stats(servers: &[Snapshot]) -> UpstreamStats {
    let stats = server_stats(servers);
    UpstreamStats {
        total_servers: stats.total_servers,
        connected_servers: stats.connected_servers,
        connecting_servers: count(servers.iter().filter(|server| server.phase == Phase::Connecting).count()),
        quarantined_servers: stats.quarantined_servers,
        total_tools: stats.total_tools,
        servers: servers.iter().map(|server| (server.config.name.clone(), server.to_state())).collect(),
    }
}

/// Counts over all servers.
pub fn server_stats(servers: &[Snapshot]) -> ServerStats {
    ServerStats {
        total_servers: count(servers.len()),
        connected_servers: count(servers.iter().filter(|server| matches!(server.phase, Phase::Connected(_))).count()),
        quarantined_servers: count(servers.iter().filter(|server| server.config.quarantined).count()),
        total_tools: count(servers.iter().map(|server| server.tools().len()).sum()),
        docker_containers: 0,
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

pub(crate) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
