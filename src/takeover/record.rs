//! `takeover.json`: that a data directory was taken over, when, and what became of it. With it, nothing is taken over twice.

use serde::{Deserialize, Serialize};

use super::plan::{Plan, ServerPlan, ServerState, ToolState};
use crate::config::trust::Trust;

/// The record of a takeover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// RFC 3339.
    pub taken_over_at: String,
    /// Whether `config.db` was read; if not, it is tried again.
    pub complete: bool,
    /// The database's transaction at that time.
    #[serde(default)]
    pub transaction: u64,
    /// Whether the tray has told a person.
    #[serde(default)]
    pub shown: bool,
    /// Whether telemetry has stored the Go core's activation, which it may do only while it is on.
    #[serde(default)]
    pub carried_over: bool,
    /// Why it is not known what the Go core has changed since: its database can no longer be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<String>,
    pub plan: Plan,
}

impl Plan {
    /// One sentence for a notification.
    pub fn summary(&self) -> String {
        let servers = self.servers.len();
        let count = |state: ToolState| {
            self.servers.iter().flat_map(|server| &server.tools).filter(|tool| tool.becomes == state).count()
        };
        let held = self.servers.iter().filter(|server| server.hold_all.is_some()).count();
        let (waiting, off) = (count(ToolState::NeedsApproval), count(ToolState::Off));
        let mut parts = vec![plural(servers, "server")];
        if self.unreadable.is_some() {
            return format!(
                "MCPProxy took over {} from the previous version, but could not read their approvals: every tool needs \
                 your approval once.",
                plural(servers, "server")
            );
        }
        if held > 0 {
            parts.push(format!("{} with unreadable approvals", plural(held, "server")));
        }
        if waiting > 0 {
            parts.push(format!("{} that need approval", plural(waiting, "tool")));
        }
        if off > 0 {
            parts.push(format!("{} that you turned off", plural(off, "tool")));
        }
        format!("MCPProxy took over from the previous version: {}.", parts.join(", "))
    }

    /// The plan as a person reads it.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(reason) = &self.unreadable {
            lines.push(format!("config.db could not be read: {reason}"));
            lines.push("Every tool needs your approval once.".to_owned());
            lines.push(String::new());
        }
        for server in &self.servers {
            server.write(&mut lines);
        }
        for notice in &self.notices {
            lines.push(format!("note: {notice}"));
        }
        if !self.unused.is_empty() {
            lines.push(String::new());
            lines.push("Settings without effect here:".to_owned());
            lines.extend(self.unused.iter().map(|setting| format!("  {}: {}", setting.key, setting.why)));
        }
        lines.join("\n")
    }
}

impl ServerPlan {
    fn write(&self, lines: &mut Vec<String>) {
        lines.push(format!("{}: {}, trust mode {}", self.name, self.state.word(), word(self.trust)));
        if let Some(reason) = &self.hold_all {
            lines.push(format!("  every tool needs approval: {reason}"));
        }
        for (state, heading) in [
            (ToolState::Callable, "callable"),
            (ToolState::NeedsApproval, "needs approval"),
            (ToolState::Off, "off"),
        ] {
            let tools: Vec<String> = self
                .tools
                .iter()
                .filter(|tool| tool.becomes == state)
                .map(|tool| match state {
                    ToolState::NeedsApproval => format!("{} ({})", tool.name, tool.why),
                    _ => tool.name.clone(),
                })
                .collect();
            if !tools.is_empty() {
                lines.push(format!("  {heading}: {}", tools.join(", ")));
            }
        }
        lines.extend(self.notices.iter().map(|notice| format!("  {notice}")));
    }
}

impl ServerState {
    fn word(self) -> &'static str {
        match self {
            ServerState::Enabled => "enabled",
            ServerState::Disabled => "disabled",
            ServerState::Quarantined => "needs approval",
        }
    }
}

fn word(trust: Trust) -> &'static str {
    match trust {
        Trust::Auto => "auto",
        Trust::Scan => "scan",
        Trust::Manual => "manual",
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
