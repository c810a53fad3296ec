//! What a data directory of the Go core becomes here, as a value: per server and tool, with the reason.
//!
//! The rule behind every line: a restriction that a person set is kept, and where it is not known whether there was
//! one, nothing is open until a person approves it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::imported::ImportedServer;
use super::records::{Activation, Records, ServerRecord, Status, ToolRecord};
use super::settings::{self, Unused};
use crate::config::document::servers_as_array;
use crate::config::trust::Trust;
use crate::contract::platform::Platform;

/// The contents of `config.db`, or why they are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// There is none.
    Missing,
    /// Its contents are not known, and why.
    Unreadable(String),
    Read(Box<Records>),
}

/// The plan for a data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Why `config.db` could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    pub servers: Vec<ServerPlan>,
    /// Changes beyond single servers, and what is not taken over; one sentence each.
    pub notices: Vec<String>,
    /// Settings that have no effect here.
    pub unused: Vec<Unused>,
}

/// The plan for a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlan {
    pub name: String,
    pub state: ServerState,
    pub trust: Trust,
    /// Why every tool of this server needs approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_all: Option<String>,
    pub tools: Vec<ToolPlan>,
    /// Anything else about it; one sentence each.
    pub notices: Vec<String>,
}

/// Whether a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    Enabled,
    Disabled,
    Quarantined,
}

/// The plan for a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolPlan {
    pub name: String,
    pub becomes: ToolState,
    pub why: String,
}

/// The availability of a tool for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    Callable,
    NeedsApproval,
    Off,
}

/// A change of the configuration file that the plan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    TurnOff {
        server: String,
        tool: String,
    },
    /// The only tool that its list enables is off, and an empty list would enable all; or only the database says that
    /// the server is disabled.
    Disable {
        server: String,
    },
    /// Only the database says that the server is held back, or the Go core has never loaded it.
    Quarantine {
        server: String,
    },
    HidePrompts {
        server: String,
    },
}

const ALL_OFF: &str = "Every tool in its `enabled_tools` was turned off, so the server is disabled.";
const WAS_DISABLED: &str = "It was disabled, and only `config.db` says so.";
const WAS_HELD: &str = "The Go core held it back until you approve it, and only `config.db` says so.";
const NEVER_LOADED: &str = "The Go core has never loaded it, so it needs your approval, as it would there.";
const PROMPTS_HIDDEN: &str =
    "A prompt of this server was new, changed or blocked, so its prompts are hidden (`expose_prompts`).";

impl Plan {
    /// Whether an earlier takeover by this plan made the edit. The next takeover must not undo what the user has
    /// changed since.
    pub fn made(&self, edit: &Edit) -> bool {
        let (Edit::TurnOff { server, .. }
        | Edit::Disable { server }
        | Edit::Quarantine { server }
        | Edit::HidePrompts { server }) = edit;
        let Some(server) = self.servers.iter().find(|known| known.name == *server) else {
            return false;
        };
        let told = |notice: &str| server.has_notice(notice);
        match edit {
            Edit::TurnOff { tool, .. } => {
                server.tools.iter().any(|known| known.name == *tool && known.becomes == ToolState::Off)
            }
            Edit::Disable { .. } => told(ALL_OFF) || told(WAS_DISABLED),
            Edit::Quarantine { .. } => told(WAS_HELD) || told(NEVER_LOADED),
            Edit::HidePrompts { .. } => told(PROMPTS_HIDDEN),
        }
    }
}

impl ServerPlan {
    fn has_notice(&self, notice: &str) -> bool {
        self.notices.iter().any(|known| known == notice)
    }
}

/// Everything to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Takeover {
    pub plan: Plan,
    pub approvals: BTreeMap<String, ImportedServer>,
    pub edits: Vec<Edit>,
    pub activation: Activation,
}

/// Plans the takeover of a configuration document and a database. `approved_here` are the servers that have run with
/// this core: the Go core's opinion that they are new does not count.
pub fn plan(document: &Value, database: &Database, approved_here: &BTreeSet<String>) -> Takeover {
    let mut takeover = Takeover::default();
    let servers = document.get("mcpServers").map(servers_as_array).unwrap_or_default();
    let no_approvals = document.get("quarantine_enabled").and_then(Value::as_bool) == Some(false);
    for entry in &servers {
        if let Some(name) = entry.get("name").and_then(Value::as_str) {
            let trust = if no_approvals { Trust::Auto } else { trust(entry) };
            takeover.add_server(name, trust, entry, database, approved_here.contains(name));
        }
    }
    takeover.plan.unused = settings::unused(document);
    takeover.plan.notices = settings::notices(document, Platform::HOST);
    match database {
        Database::Missing => {}
        Database::Unreadable(reason) => {
            takeover.plan.unreadable = Some(reason.clone());
            takeover.plan.notices.push(
                "Tools that you turned off or blocked are recorded in `config.db` only; turn them off again before you \
                 approve their server."
                    .to_owned(),
            );
        }
        Database::Read(records) => {
            takeover.activation = records.activation.clone();
            takeover.plan.notices.extend(left_behind(records));
        }
    }
    takeover
}

impl Takeover {
    fn add_server(&mut self, name: &str, trust: Trust, entry: &Value, database: &Database, is_approved_here: bool) {
        let mut server = ServerPlan {
            name: name.to_owned(),
            state: state(entry),
            trust,
            hold_all: None,
            tools: Vec::new(),
            notices: Vec::new(),
        };
        if server.trust == Trust::Scan {
            server.notices.push(
                "`trust_mode` is `scan`: changed tools in which the scanner finds something need your approval.".into(),
            );
        }
        match database {
            Database::Missing => {}
            Database::Unreadable(reason) => {
                server.hold_all = Some(format!("its approvals could not be read: {reason}"));
                self.approvals.insert(name.to_owned(), ImportedServer::held());
            }
            Database::Read(records) => {
                if !is_approved_here {
                    self.add_server_record(&mut server, entry, records.servers.get(name));
                }
                self.add_records(&mut server, entry, records);
            }
        }
        self.plan.servers.push(server);
    }

    /// Keeps what only the database says about a server itself: the Go core decides about entries that do not say
    /// whether they are quarantined, and takes an entry that does not say `enabled` for a disabled one.
    fn add_server_record(&mut self, server: &mut ServerPlan, entry: &Value, record: Option<&ServerRecord>) {
        let is_silent = |key: &str| entry.get(key).is_none_or(Value::is_null);
        let name = server.name.clone();
        let held = match record {
            Some(record) if record.quarantined => Some(WAS_HELD),
            Some(_) => None,
            None => (server.trust != Trust::Auto).then_some(NEVER_LOADED),
        };
        if let Some(notice) = held.filter(|_| is_silent("quarantined")) {
            server.state = ServerState::Quarantined;
            server.notices.push(notice.to_owned());
            self.edits.push(Edit::Quarantine { server: name.clone() });
        }
        if record.is_some_and(|record| !record.enabled) && is_silent("enabled") {
            if server.state == ServerState::Enabled {
                server.state = ServerState::Disabled;
            }
            server.notices.push(WAS_DISABLED.to_owned());
            self.edits.push(Edit::Disable { server: name });
        }
    }

    fn add_records(&mut self, server: &mut ServerPlan, entry: &Value, records: &Records) {
        let name = &server.name;
        let tools = records.tools.get(name);
        if records.unreadable.contains(name) {
            server.hold_all = Some("one of its records in `config.db` is damaged".to_owned());
            self.approvals.insert(name.clone(), ImportedServer::held());
        } else if let Some(tools) = tools {
            self.approvals.insert(name.clone(), ImportedServer::new(tools));
        }
        let held = server.hold_all.is_some();
        for (tool, record) in tools.into_iter().flatten() {
            server.tools.push(judge(tool, record, server.trust, held));
        }
        let off = tools.into_iter().flatten().filter(|(_, record)| record.disabled).map(|(tool, _)| tool.as_str());
        let edits = edits_for(entry, name, off);
        if edits.iter().any(|edit| matches!(edit, Edit::Disable { .. })) {
            if server.state == ServerState::Enabled {
                server.state = ServerState::Disabled;
            }
            server.notices.push(ALL_OFF.to_owned());
        }
        self.edits.extend(edits);
        if records.held_prompts.contains(name) {
            server.notices.push(PROMPTS_HIDDEN.to_owned());
            self.edits.push(Edit::HidePrompts { server: name.clone() });
        }
        if records.sign_ins.contains(name) {
            server.notices.push(format!("Sign in again: `mcpproxy upstream login {name}`."));
        }
        if tools.is_none() && server.hold_all.is_none() && !server.has_notice(NEVER_LOADED) {
            server.notices.push(
                "No tool of it was ever listed: its tools are approved when it first connects, as in the Go core."
                    .into(),
            );
        }
    }
}

fn judge(name: &str, record: &ToolRecord, trust: Trust, held: bool) -> ToolPlan {
    let approval = match (record.status, trust) {
        _ if held => (ToolState::NeedsApproval, "the records of its server could not be read"),
        (_, Trust::Auto) => (ToolState::Callable, "its server's trust mode is `auto`"),
        (Status::Approved, _) => (ToolState::Callable, "approved"),
        (Status::Changed, _) => (ToolState::NeedsApproval, "changed since it was approved"),
        (Status::Pending, _) => (ToolState::NeedsApproval, "new, not approved yet"),
    };
    let (becomes, why) = if record.disabled { (ToolState::Off, "turned off or blocked") } else { approval };
    ToolPlan {
        name: name.to_owned(),
        becomes,
        why: why.to_owned(),
    }
}

/// Turns tools off in an entry. One list that would become empty must not: it would then enable every tool.
fn edits_for<'a>(entry: &Value, server: &str, off: impl Iterator<Item = &'a str>) -> Vec<Edit> {
    let off: Vec<&str> = off.collect();
    let enabled = entry.get("enabled_tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let all_off = enabled.iter().all(|name| name.as_str().is_some_and(|name| off.contains(&name)));
    if !enabled.is_empty() && all_off {
        return vec![Edit::Disable {
            server: server.to_owned(),
        }];
    }
    let turn_off = |tool: &str| Edit::TurnOff {
        server: server.to_owned(),
        tool: tool.to_owned(),
    };
    off.into_iter().map(turn_off).collect()
}

fn state(entry: &Value) -> ServerState {
    let is = |key: &str, default: bool| entry.get(key).map_or(default, |value| value.as_bool().unwrap_or(false));
    match (is("quarantined", false), is("enabled", true)) {
        (true, _) => ServerState::Quarantined,
        (false, true) => ServerState::Enabled,
        (false, false) => ServerState::Disabled,
    }
}

fn trust(entry: &Value) -> Trust {
    let flag = |key: &str| entry.get(key).and_then(Value::as_bool);
    Trust::effective(
        entry.get("trust_mode").and_then(Value::as_str),
        flag("auto_approve_tool_changes"),
        flag("skip_quarantine").unwrap_or(false),
    )
}

fn left_behind(records: &Records) -> Vec<String> {
    let mut notices = Vec::new();
    if records.agent_tokens > 0 {
        notices.push(format!(
            "{} agent token(s) are not taken over: they do not exist here. Clients that use one need the API key instead.",
            records.agent_tokens
        ));
    }
    if records.has_activity {
        notices.push("The activity history stays in `config.db` and is not shown here.".to_owned());
    }
    notices
}
