//! The menu as a value: its items and the command of each.

use crate::contract::{
    api::{AiClient, HealthAction, Server, TelemetryState, Update},
    names,
};
use crate::tray::autostart::{Click, Status};
use crate::tray::label::{line, lines};
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
    /// Connects the AI client with this id to the core, or disconnects it.
    ToggleClient(String),
    CopyAddress,
    OpenDashboard,
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
            _ => ServerCommand::ViewLog,
        }
    }
}

impl Command {
    const PLAIN: [(&'static str, Command); 17] = [
        ("copy-address", Command::CopyAddress),
        ("dashboard", Command::OpenDashboard),
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
            Command::ToggleClient(id) => format!("client:{id}"),
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
        if let Some(id) = id.strip_prefix("client:") {
            return Some(Command::ToggleClient(id.to_owned()));
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
            model.version,
            model.word()
        ))];
        let trouble = model.trouble.as_ref().map(|trouble| format!("⚠ {trouble}"));
        let configuration = model.configuration.as_ref().map(|sentence| format!("⚠ {sentence}"));
        let hint = model.hint.as_ref().map(|hint| format!("✓ {hint}"));
        let told = [
            Some(model.summary()),
            model.advice().map(str::to_owned),
            trouble,
            configuration,
            hint,
        ];
        items.extend(told.iter().flatten().flat_map(|text| lines(text, MOST_LINES)).map(Item::Text));
        if model.serving() {
            items.push(Item::Separator);
            items.extend(attention(model));
            items.push(servers(&model.servers));
            items.extend(clients(&model.clients));
            items.push(action(Command::CopyAddress, "Copy MCP address", model.listen.is_some()));
            items.extend(model.dashboard.as_ref().map(|_| action(Command::OpenDashboard, "Open dashboard", true)));
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

fn servers(servers: &[Server]) -> Item {
    let mut items: Vec<Item> = servers.iter().take(MOST_SERVERS).map(server).collect();
    if let Some(more @ 1..) = servers.len().checked_sub(MOST_SERVERS) {
        items.push(Item::Text(format!("and {more} more")));
    }
    if items.is_empty() {
        items.push(Item::Text("No servers yet. In a terminal: mcpproxy upstream add".to_owned()));
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

fn attention(model: &Model) -> Option<Item> {
    let lines: Vec<Item> = model
        .servers
        .iter()
        .filter(|server| needs_attention(server))
        .take(MOST_SERVERS)
        .map(|server| {
            let helps = ServerCommand::that_helps(server);
            let name = line(&server.name, LONGEST_NAME / 2);
            let state = line(&server_state(server), LONGEST_NAME / 2);
            action(Command::Server(helps, server.name.clone()), &format!("{name}: {state} — {}", helps.label()), true)
        })
        .collect();
    (!lines.is_empty()).then(|| Item::Submenu {
        label: format!("Needs attention ({})", model.servers.iter().filter(|server| needs_attention(server)).count()),
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
    [
        Item::Check {
            command: Command::ToggleStatistics,
            label: "Anonymous statistics".to_owned(),
            checked: state.enabled,
            enabled: true,
        },
        action(Command::ShowReport, "Show what is sent…", state.enabled),
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
mod tests {
    use super::*;
    use crate::contract::exit_code::ExitCode;
    use crate::tray::supervisor::{Core, Failure, Whose};

    fn model(whose: Whose) -> Model {
        let mut model = Model::new("1.2.3", Status::Disabled);
        model.core = State::Running(Core {
            pid: Some(7),
            whose,
            can_shut_down: true,
            older: false,
        });
        model.listen = Some("127.0.0.1:8080".into());
        model
    }

    fn named(name: &str) -> Server {
        Server {
            name: name.into(),
            enabled: true,
            connected: true,
            status: "connected".into(),
            tool_count: 3,
            ..Server::default()
        }
    }

    /// The menu as indented lines, with items that cannot be chosen in brackets.
    fn drawn(items: &[Item], depth: usize) -> String {
        let mut text = String::new();
        for item in items {
            let (label, below): (String, &[Item]) = match item {
                Item::Text(label) => (format!("[{label}]"), &[]),
                Item::Action {
                    label, enabled: true, ..
                } => (label.clone(), &[]),
                Item::Action { label, .. } => (format!("[{label}]"), &[]),
                Item::Check { label, checked, .. } => (format!("{} {label}", if *checked { "x" } else { "_" }), &[]),
                Item::Submenu { label, items } => (format!("{label} >"), items),
                Item::Separator => ("--".to_owned(), &[]),
            };
            text += &format!("{}{label}\n", "  ".repeat(depth));
            text += &drawn(below, depth + 1);
        }
        text
    }

    #[test]
    fn a_running_core_and_its_servers() {
        let mut model = model(Whose::Child);
        let broken = Server {
            connected: false,
            status: "error".into(),
            last_error: Some("npx:\nnot found".into()),
            ..named("b")
        };
        model.set_servers(crate::contract::api::Servers {
            servers: vec![
                broken,
                named("a"),
                Server {
                    enabled: false,
                    ..named("c")
                },
            ],
            ..Default::default()
        });
        let expected = "\
[MCPProxy 1.2.3 — running]
[1 of 2 servers · 6 tools]
--
Needs attention (1) >
  b: npx: not found — View log
Servers (3) >
  ● a >
    [connected · 3 tools]
    --
    Disable
    Restart
    View log
  ⚠ b >
    [npx:\nnot found]
    --
    Disable
    Restart
    View log
  ○ c >
    [disabled]
    --
    Enable
    View log
Copy MCP address
--
_ Run at Startup
--
Stop core
Restart core
x Start core automatically
--
Open configuration
Open logs
--
About MCPProxy
Quit
";
        assert_eq!(drawn(&Menu::of(&model).items, 0), expected);
    }

    #[test]
    fn a_bad_configuration_says_what_is_wrong_and_where_to_mend_it() {
        let mut model = model(Whose::Child);
        let stderr = "error: `mcp_config.json` line 3: expected a string";
        model.set_core(&State::Failed(Failure::of_exit(ExitCode::Configuration, Some(4), stderr)));
        let drawn = drawn(&Menu::of(&model).items, 0);
        assert!(drawn.contains("\n[`mcp_config.json` line 3: expected a string]\n"), "{drawn}");
        assert!(drawn.contains("\nStart core\n") && drawn.contains("\nOpen configuration\n"));
        assert!(!drawn.contains("Servers"), "a core that is gone has none");
    }

    #[test]
    fn anothers_core_cannot_be_stopped_here() {
        let drawn = drawn(&Menu::of(&model(Whose::Foreign)).items, 0);
        assert!(drawn.contains("started outside this app") && !drawn.contains("Stop core"));
    }

    #[test]
    fn what_waits_for_a_person_offers_what_helps() {
        let asks = |action: &str| Server {
            health: Some(crate::contract::api::Health {
                action: Some(action.into()),
                ..Default::default()
            }),
            ..named("a")
        };
        for (server, label) in [
            (asks("login"), "Sign in…"),
            (asks("approve"), "Review and approve…"),
            (asks("set_secret"), "View log"),
            (
                Server {
                    quarantined: true,
                    ..asks("login")
                },
                "Review and approve…",
            ),
        ] {
            let mut model = model(Whose::Child);
            model.servers = vec![server];
            let drawn = drawn(&Menu::of(&model).items, 0);
            assert!(drawn.contains(&format!("— {label}\n")), "{drawn}");
            assert!(drawn.contains(&format!("    {label}\n")), "{drawn}");
        }
    }

    #[test]
    fn a_taken_address_offers_another_and_an_old_core_its_replacement() {
        let mut taken = model(Whose::Child);
        taken.set_core(&State::Failed(Failure::of_exit(ExitCode::PortInUse, Some(2), "")));
        taken.other_address = Some("127.0.0.1:8081".into());
        assert!(drawn(&Menu::of(&taken).items, 0).contains("\nUse 127.0.0.1:8081 instead\nStart core\n"));
        taken.set_core(&State::Stopped);
        assert!(!drawn(&Menu::of(&taken).items, 0).contains("instead"));
        let mut old = model(Whose::Foreign);
        assert!(!drawn(&Menu::of(&old).items, 0).contains("Replace"));
        old.core_version = "1.0.0".into();
        if let State::Running(core) = &mut old.core {
            core.older = true;
        }
        assert!(drawn(&Menu::of(&old).items, 0).contains("\nReplace old core (1.0.0) with 1.2.3\n"));
    }

    #[test]
    fn the_clients_that_are_here_have_a_tick() {
        let client = |name: &str, exists, connected, supported| AiClient {
            name: name.into(),
            exists,
            connected,
            supported,
            ..AiClient::default()
        };
        let mut model = model(Whose::Child);
        model.clients = vec![
            client("Cursor", true, true, true),
            client("Zed", true, false, true),
            client("Goose", false, false, true),
        ];
        let text = drawn(&Menu::of(&model).items, 0);
        assert!(text.contains("\nConnect AI client >\n  x Cursor\n  _ Zed\nCopy MCP address\n"), "{text}");
        model.clients = vec![client("Goose", false, false, true)];
        assert!(drawn(&Menu::of(&model).items, 0).contains("  [No AI clients found. Use Copy MCP address.]\n"));
    }

    #[test]
    fn ten_thousand_servers_are_a_short_menu() {
        let mut model = model(Whose::Child);
        model.servers = (0..10_000).map(|n| named(&n.to_string())).collect();
        let drawn = drawn(&Menu::of(&model).items, 0);
        assert!(drawn.contains("[and 9950 more"));
        assert!(drawn.lines().count() < 400);
    }

    #[test]
    fn only_run_at_startup_is_a_click() {
        assert!(Command::ToggleAutostart.click().is_some());
        assert!(Command::Quit.click().is_none());
    }

    #[test]
    fn every_command_is_found_again_by_its_id() {
        for (_, command) in Command::PLAIN {
            assert_eq!(Command::from_id(&command.id()), Some(command));
        }
        for named in [
            Command::Server(ServerCommand::Restart, "a:b.c/ü\n".into()),
            Command::ToggleClient("claude-code".into()),
        ] {
            assert_eq!(Command::from_id(&named.id()), Some(named));
        }
        assert_eq!(Command::from_id("server.nothing:x"), None);
        assert_eq!(Command::from_id("nothing"), None);
    }
}
