//! The menu as a value: its items and the command of each.

use crate::contract::{
    api::{AiClient, HealthAction, Server, TelemetryState, Update},
    names,
};
use crate::diagnostics::catalog::Fixer;
use crate::tray::autostart::{Click, Status};
use crate::tray::fix_issues::{Remedy, remedies};
use crate::tray::label::{LONGEST_LABEL, line, lines};
use crate::tray::model::{Model, needs_attention, server_state};
use crate::tray::supervisor::State;

/// Maximum number of servers with a menu item of their own.
const MOST_SERVERS: usize = 50;
/// Maximum number of menu items for one sentence.
const MOST_LINES: usize = 4;
/// Maximum length, in characters, of a server's name in a menu.
const LONGEST_NAME: usize = 40;

/// A whole menu. Equal menus look the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    pub items: Vec<Item>,
}

/// One item of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Text that cannot be chosen.
    Text(String),
    Action {
        command: Command,
        label: String,
        enabled: bool,
    },
    Check {
        command: Command,
        label: String,
        checked: bool,
        enabled: bool,
    },
    Submenu {
        label: String,
        items: Vec<Item>,
    },
    Separator,
}

/// The command of a menu item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Server(ServerCommand, String),
    /// Runs a fix for a server's problem.
    Fix(Fixer, String),
    /// Copies one of the commands that help a server: the one with this number among its remedies.
    CopyRemedy(usize, String),
    /// Shows everything about a server's problem.
    Explain(String),
    /// Connects the AI client with this id to the core, or disconnects it.
    ToggleClient(String),
    /// Chooses the profile of clients that choose none; empty for no limit.
    UseProfile(String),
    CopyAddress,
    OpenDashboard,
    /// Opens the web UI's page for adding a server.
    AddServer,
    /// Opens its list of AI clients to import servers from.
    ImportServers,
    /// Opens guided setup.
    GetStarted,
    ToggleAutostart,
    ToggleStatistics,
    ShowReport,
    StartCore,
    StopCore,
    RestartCore,
    ReplaceCore,
    UseOtherAddress,
    ToggleStartsCore,
    OpenConfiguration,
    OpenLogs,
    About,
    /// Opens the web page of the newer release.
    ShowRelease,
    Relaunch,
    Quit,
}

/// A command for one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerCommand {
    Enable,
    Disable,
    Restart,
    SignIn,
    /// Opens the review before it approves anything.
    Approve,
    ViewLog,
}

impl ServerCommand {
    const ALL: [ServerCommand; 6] = [
        ServerCommand::Enable,
        ServerCommand::Disable,
        ServerCommand::Restart,
        ServerCommand::SignIn,
        ServerCommand::Approve,
        ServerCommand::ViewLog,
    ];

    /// The name of the command in menu ids and in the path of the REST request.
    pub const fn word(self) -> &'static str {
        match self {
            ServerCommand::Enable => "enable",
            ServerCommand::Disable => "disable",
            ServerCommand::Restart => "restart",
            ServerCommand::SignIn => "login",
            ServerCommand::Approve => "approve",
            ServerCommand::ViewLog => "log",
        }
    }

    /// The label of its menu item.
    const fn label(self) -> &'static str {
        match self {
            ServerCommand::Enable => "Enable",
            ServerCommand::Disable => "Disable",
            ServerCommand::Restart => "Restart",
            ServerCommand::SignIn => "Sign in…",
            ServerCommand::Approve => "Review and approve…",
            ServerCommand::ViewLog => "View log",
        }
    }

    /// The command that most likely helps a server that needs attention; its log by default.
    fn that_helps(server: &Server) -> ServerCommand {
        match server.health.as_ref().and_then(|health| health.action.as_ref()) {
            _ if server.quarantined => ServerCommand::Approve,
            Some(HealthAction::Approve) => ServerCommand::Approve,
            Some(HealthAction::Login) => ServerCommand::SignIn,
            Some(HealthAction::Enable) => ServerCommand::Enable,
            Some(HealthAction::Restart) => ServerCommand::Restart,
            // The Go core calls a server with new or changed tools healthy.
            action if action.is_none_or(|action| action.word().is_empty()) && server.waiting_tools().is_some() => {
                ServerCommand::Approve
            }
            _ => ServerCommand::ViewLog,
        }
    }
}

impl Command {
    const PLAIN: [(&'static str, Command); 20] = [
        ("copy-address", Command::CopyAddress),
        ("dashboard", Command::OpenDashboard),
        ("add", Command::AddServer),
        ("import", Command::ImportServers),
        ("setup", Command::GetStarted),
        ("autostart", Command::ToggleAutostart),
        ("statistics", Command::ToggleStatistics),
        ("statistics.show", Command::ShowReport),
        ("core.start", Command::StartCore),
        ("core.stop", Command::StopCore),
        ("core.restart", Command::RestartCore),
        ("core.replace", Command::ReplaceCore),
        ("core.other-address", Command::UseOtherAddress),
        ("core.with-tray", Command::ToggleStartsCore),
        ("open.configuration", Command::OpenConfiguration),
        ("open.logs", Command::OpenLogs),
        ("about", Command::About),
        ("release", Command::ShowRelease),
        ("relaunch", Command::Relaunch),
        ("quit", Command::Quit),
    ];

    /// The id of its menu item.
    pub fn id(&self) -> String {
        match self {
            Command::Server(command, name) => format!("server.{}:{name}", command.word()),
            Command::Fix(fixer, name) => format!("fix.{}:{name}", fixer.key()),
            Command::CopyRemedy(number, name) => format!("copy-remedy.{number}:{name}"),
            Command::Explain(name) => format!("explain:{name}"),
            Command::ToggleClient(id) => format!("client:{id}"),
            Command::UseProfile(name) => format!("profile:{name}"),
            plain => Command::PLAIN.iter().find(|(_, command)| command == plain).map_or("", |(id, _)| *id).to_owned(),
        }
    }

    /// The click that may change launch at login: only *Run at Startup* is one.
    pub fn click(&self) -> Option<Click> {
        (*self == Command::ToggleAutostart).then(Click::by_user)
    }

    /// The command for a menu item's id.
    pub fn from_id(id: &str) -> Option<Command> {
        if let Some((word, name)) = id.strip_prefix("server.").and_then(|rest| rest.split_once(':')) {
            let command = ServerCommand::ALL.into_iter().find(|command| command.word() == word)?;
            return Some(Command::Server(command, name.to_owned()));
        }
        if let Some((key, name)) = id.strip_prefix("fix.").and_then(|rest| rest.split_once(':')) {
            return Some(Command::Fix(Fixer::of_key(key)?, name.to_owned()));
        }
        if let Some((number, name)) = id.strip_prefix("copy-remedy.").and_then(|rest| rest.split_once(':')) {
            return Some(Command::CopyRemedy(number.parse().ok()?, name.to_owned()));
        }
        if let Some(name) = id.strip_prefix("explain:") {
            return Some(Command::Explain(name.to_owned()));
        }
        if let Some(id) = id.strip_prefix("client:") {
            return Some(Command::ToggleClient(id.to_owned()));
        }
        if let Some(name) = id.strip_prefix("profile:") {
            return Some(Command::UseProfile(name.to_owned()));
        }
        Command::PLAIN.into_iter().find(|(plain, _)| *plain == id).map(|(_, command)| command)
    }
}

impl Menu {
    /// The menu for the current state.
    pub fn of(model: &Model) -> Menu {
        let mut items = vec![Item::Text(format!(
            "{} {} — {}",
            names::PRODUCT,
            line(model.shown_version(), 30),
            model.word()
        ))];
        let trouble = model.trouble.as_ref().map(|trouble| format!("⚠ {trouble}"));
        let configuration = model.configuration.as_ref().map(|sentence| format!("⚠ {sentence}"));
        let hint = model.hint.as_ref().map(|hint| format!("✓ {hint}"));
        let messages = [
            Some(model.summary()),
            model.advice().map(str::to_owned),
            trouble,
            configuration,
            hint,
        ];
        items.extend(messages.iter().flatten().flat_map(|text| lines(text, MOST_LINES)).map(Item::Text));
        if model.serving() {
            items.push(Item::Separator);
            items.extend(attention(model));
            items.push(servers(&model.servers));
            items.extend(profiles(model));
            items.extend(clients(&model.clients));
            items.push(action(Command::CopyAddress, "Copy MCP address", model.listen.is_some()));
            items.extend(pages(model));
        }
        items.extend([Item::Separator, autostart(&model.autostart)]);
        items.extend(model.statistics.iter().flat_map(statistics));
        items.push(Item::Separator);
        items.extend(core(model));
        items.push(Item::Separator);
        items.push(action(Command::OpenConfiguration, "Open configuration", true));
        items.push(action(Command::OpenLogs, "Open logs", true));
        items.push(Item::Separator);
        if model.updated {
            items.push(action(Command::Relaunch, "Restart to use the updated MCPProxy", true));
        }
        if let Some((version, _)) = model.update.as_ref().and_then(Update::news) {
            let version = line(version, LONGEST_NAME);
            items.push(action(Command::ShowRelease, &format!("Version {version} is available: see what's new…"), true));
        }
        items.push(action(Command::About, "About MCPProxy", true));
        items.push(action(Command::Quit, "Quit", true));
        Menu { items }
    }
}

fn action(command: Command, label: &str, enabled: bool) -> Item {
    Item::Action {
        command,
        label: label.to_owned(),
        enabled,
    }
}

/// The pages of the web UI. The Go core's web UI does not have ours.
fn pages(model: &Model) -> Vec<Item> {
    let Some(_) = model.dashboard else { return Vec::new() };
    let mut items = vec![action(Command::OpenDashboard, "Open MCPProxy…", true)];
    if !model.is_go_core {
        items.push(Item::Separator);
        items.push(action(Command::AddServer, "Add server…", true));
        items.push(action(Command::ImportServers, "Import…", true));
        items.push(action(Command::GetStarted, "Get started…", true));
    }
    items
}

fn servers(servers: &[Server]) -> Item {
    let mut items: Vec<Item> = servers.iter().take(MOST_SERVERS).map(server).collect();
    if let Some(more @ 1..) = servers.len().checked_sub(MOST_SERVERS) {
        items.push(Item::Text(format!("and {more} more")));
    }
    if items.is_empty() {
        items.push(Item::Text("No servers yet".to_owned()));
    }
    Item::Submenu {
        label: format!("Servers ({})", servers.len()),
        items,
    }
}

fn server(server: &Server) -> Item {
    let mut commands = if server.enabled {
        vec![ServerCommand::Disable, ServerCommand::Restart]
    } else {
        vec![ServerCommand::Enable]
    };
    let helps = ServerCommand::that_helps(server);
    if needs_attention(server) && matches!(helps, ServerCommand::SignIn | ServerCommand::Approve) {
        commands.insert(0, helps);
    }
    commands.push(ServerCommand::ViewLog);
    let mut items = vec![Item::Text(server_state(server)), Item::Separator];
    items.extend(
        commands.iter().map(|command| action(Command::Server(*command, server.name.clone()), command.label(), true)),
    );
    if server.diagnostic.is_some() && needs_attention(server) {
        items.push(Item::Separator);
        items.push(action(Command::Explain(server.name.clone()), "What is wrong, and what to do…", true));
        // Restart and sign-in have items of their own.
        let has_own = |command: &Command| matches!(command, Command::Fix(Fixer::Retry | Fixer::SignIn, _));
        let more = remedy_items(server).into_iter().filter(|(command, _)| !has_own(command));
        items.extend(more.map(|(command, label)| action(command, &line(&label, LONGEST_LABEL), true)));
    }
    let mark = if !server.enabled {
        "○"
    } else if needs_attention(server) {
        "⚠"
    } else if server.connected {
        "●"
    } else {
        "◌"
    };
    Item::Submenu {
        label: format!("{mark} {}", line(&server.name, LONGEST_NAME)),
        items,
    }
}

fn clients(clients: &[AiClient]) -> Option<Item> {
    if clients.is_empty() {
        return None; // an older core does not report clients
    }
    let here = |client: &&AiClient| client.exists || client.connected;
    let mut items: Vec<Item> = clients
        .iter()
        .filter(here)
        .map(|client| Item::Check {
            command: Command::ToggleClient(client.id.clone()),
            label: line(&client.name, LONGEST_NAME),
            checked: client.connected,
            enabled: client.supported,
        })
        .collect();
    if items.is_empty() {
        items.push(Item::Text("No AI clients found. Use Copy MCP address.".to_owned()));
    }
    Some(Item::Submenu {
        label: "Connect AI client".to_owned(),
        items,
    })
}

fn profiles(model: &Model) -> Option<Item> {
    if model.profiles.is_empty() {
        return None;
    }
    let all = "All servers".to_owned();
    let check = |name: &str, label: String| Item::Check {
        command: Command::UseProfile(name.to_owned()),
        label,
        checked: model.active_profile == name,
        enabled: true,
    };
    let mut items = vec![check("", all.clone())];
    items.extend(model.profiles.iter().take(MOST_SERVERS).map(|profile| {
        let s = if profile.tool_count == 1 { "" } else { "s" };
        check(&profile.name, format!("{} ({} tool{s})", line(&profile.name, LONGEST_NAME), profile.tool_count))
    }));
    let active = if model.active_profile.is_empty() {
        all
    } else {
        line(&model.active_profile, LONGEST_NAME)
    };
    Some(Item::Submenu {
        label: format!("Profile: {active}"),
        items,
    })
}

/// The command that most likely helps a server, and its label.
fn best_remedy(server: &Server) -> (Command, String) {
    let helps = ServerCommand::that_helps(server);
    let name = server.name.clone();
    let usual = || (Command::Server(helps, name.clone()), helps.label().to_owned());
    if matches!(helps, ServerCommand::Approve | ServerCommand::SignIn | ServerCommand::Enable) {
        return usual();
    }
    remedy_items(server).into_iter().next().unwrap_or_else(usual)
}

/// The remedies of a server's problem as commands with labels.
fn remedy_items(server: &Server) -> Vec<(Command, String)> {
    let item = |(number, remedy)| match remedy {
        Remedy::Fix { fixer, label } => (Command::Fix(fixer, server.name.clone()), label),
        Remedy::Copy { label, .. } => (Command::CopyRemedy(number, server.name.clone()), label),
    };
    remedies(server).into_iter().enumerate().map(item).collect()
}

fn attention(model: &Model) -> Option<Item> {
    let lines: Vec<Item> = model
        .servers
        .iter()
        .filter(|server| needs_attention(server))
        .take(MOST_SERVERS)
        .map(|server| {
            let (command, label) = best_remedy(server);
            let name = line(&server.name, LONGEST_NAME / 2);
            let state = line(&server_state(server), LONGEST_LABEL);
            action(command, &format!("{name}: {state} — {label}"), true)
        })
        .collect();
    (!lines.is_empty()).then(|| Item::Submenu {
        label: format!("Fix issues ({})", model.servers.iter().filter(|server| needs_attention(server)).count()),
        items: lines,
    })
}

fn autostart(status: &Status) -> Item {
    let label = match status {
        Status::Enabled | Status::Disabled => "Run at Startup".to_owned(),
        Status::DisabledInSystem => "Run at Startup (turned off in the system's settings)".to_owned(),
        Status::RequiresApproval => "Run at Startup (allow it in Login Items…)".to_owned(),
        Status::Impossible(why) => format!("Run at Startup is not available: {why}"),
    };
    Item::Check {
        command: Command::ToggleAutostart,
        label,
        checked: *status == Status::Enabled,
        enabled: !matches!(status, Status::Impossible(_)),
    }
}

fn statistics(state: &TelemetryState) -> [Item; 2] {
    let no_collector = state.has_no_collector();
    [
        Item::Check {
            command: Command::ToggleStatistics,
            label: format!("Anonymous statistics{}", if no_collector { " (nothing is sent)" } else { "" }),
            checked: state.enabled && !no_collector,
            enabled: true,
        },
        action(
            Command::ShowReport,
            if no_collector { "Show what would be sent…" } else { "Show what is sent…" },
            state.enabled,
        ),
    ]
}

fn core(model: &Model) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(address) = &model.other_address {
        items.push(action(Command::UseOtherAddress, &format!("Use {address} instead"), true));
    }
    if model.older_core() {
        let label = format!("Replace old core ({}) with {}", line(&model.core_version, 20), model.version);
        items.push(action(Command::ReplaceCore, &label, true));
    }
    match model.core {
        State::Stopped | State::Failed(_) | State::Pausing(_) | State::Absent { .. } => {
            items.push(action(Command::StartCore, "Start core", true));
        }
        State::Running(_) | State::Rejoining { .. } if !model.ours() => {
            items.push(Item::Text("Core was started outside this app; not managed here".to_owned()));
        }
        State::Looking { .. } | State::Starting { .. } | State::Running(_) | State::Rejoining { .. } => {
            items.push(action(Command::StopCore, "Stop core", true));
            items.push(action(Command::RestartCore, "Restart core", model.ours()));
        }
        State::Stopping { .. } | State::Left => items.push(action(Command::StartCore, "Start core", false)),
    }
    items.push(Item::Check {
        command: Command::ToggleStartsCore,
        label: "Start core automatically".to_owned(),
        checked: model.starts_core,
        enabled: true,
    });
    items
}

#[cfg(test)]
mod tests;
