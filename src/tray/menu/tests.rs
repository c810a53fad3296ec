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
Fix issues (1) >
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
fn a_bad_configuration_shows_the_error_and_how_to_open_the_file() {
    let mut model = model(Whose::Child);
    let stderr = "error: `mcp_config.json` line 3: expected a string";
    model.set_core(&State::Failed(Failure::of_exit(ExitCode::Configuration, Some(4), stderr)));
    let drawn = drawn(&Menu::of(&model).items, 0);
    assert!(drawn.contains("\n[`mcp_config.json` line 3: expected a string]\n"), "{drawn}");
    assert!(drawn.contains("\nStart core\n") && drawn.contains("\nOpen configuration\n"));
    assert!(!drawn.contains("Servers"), "a core that is gone has none");
}

#[test]
fn a_foreign_core_has_no_stop_command() {
    let drawn = drawn(&Menu::of(&model(Whose::Foreign)).items, 0);
    assert!(drawn.contains("started outside this app") && !drawn.contains("Stop core"));
}

#[test]
fn a_server_that_needs_attention_offers_the_fix() {
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
fn a_port_in_use_offers_another_and_an_old_core_its_replacement() {
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
fn installed_clients_have_a_checkmark() {
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
        Command::UseProfile(String::new()),
        Command::UseProfile("a:b".into()),
        Command::Fix(Fixer::RaiseTimeout, "a:b".into()),
        Command::CopyRemedy(2, "a:b".into()),
        Command::Explain("a:b".into()),
    ] {
        assert_eq!(Command::from_id(&named.id()), Some(named));
    }
    assert_eq!(Command::from_id("server.nothing:x"), None);
    assert_eq!(Command::from_id("nothing"), None);
}

#[test]
fn the_go_cores_version_profiles_and_waiting_tools_are_shown() {
    let mut model = model(Whose::Foreign);
    model.core_version = "v0.60.0".into();
    model.is_go_core = true;
    let profile = |name: &str, tool_count| crate::contract::api::Profile {
        name: name.into(),
        tool_count,
        ..Default::default()
    };
    model.profiles = vec![profile("research", 13), profile("one", 1)];
    model.active_profile = "research".into();
    let held = crate::contract::api::QuarantineCounts {
        pending_count: 1,
        changed_count: 1,
        blocked_count: 0,
    };
    model.servers = vec![Server {
        quarantine: Some(held),
        status: "ready".into(),
        ..named("a")
    }];
    let drawn = drawn(&Menu::of(&model).items, 0);
    assert!(drawn.starts_with("[MCPProxy 0.60.0 — running]\n"), "{drawn}");
    let profiles = "Profile: research >\n  _ All servers\n  x research (13 tools)\n  _ one (1 tool)\n";
    assert!(drawn.contains(profiles), "{drawn}");
    assert!(drawn.contains("  a: 2 tools to approve — Review and approve…\n"), "{drawn}");
    model.is_ending = true;
    let drawn = self::drawn(&Menu::of(&model).items, 0);
    assert!(drawn.starts_with("[MCPProxy 0.60.0 — stopping]\n[Stopping the core…]\n"), "{drawn}");
}

#[test]
fn a_problem_offers_its_fix_and_its_explanation() {
    use crate::contract::api::{Diagnostic, FixStep, FixStepKind};
    let problem = Diagnostic {
        code: "MCPX_STDIO_SPAWN_ENOENT".into(),
        fix_steps: vec![
            FixStep {
                command: Some("sudo apt-get install nodejs npm".into()),
                ..FixStep::new(FixStepKind::Command, "Install it")
            },
            FixStep {
                fixer_key: Some("server_retry".into()),
                ..FixStep::new(FixStepKind::Button, "Retry now")
            },
        ],
        ..Diagnostic::default()
    };
    let mut model = model(Whose::Child);
    model.servers = vec![Server {
        connected: false,
        status: "error".into(),
        last_error: Some("`npx` not found".into()),
        diagnostic: Some(problem),
        ..named("fs")
    }];
    let drawn = drawn(&Menu::of(&model).items, 0);
    assert!(drawn.contains("  fs: `npx` not found — Copy command: Install it\n"), "{drawn}");
    assert!(drawn.contains("    What is wrong, and what to do…\n    Copy command: Install it\n"), "{drawn}");
    assert!(!drawn.contains("Retry now"), "{drawn}");
}

#[test]
fn statistics_have_a_tick_only_if_they_can_be_sent() {
    let lines = |enabled, needs: Option<&str>| {
        let mut model = model(Whose::Child);
        model.statistics = Some(TelemetryState {
            enabled,
            needs: needs.map(Into::into),
            ..TelemetryState::default()
        });
        let drawn = drawn(&Menu::of(&model).items, 0);
        let at = drawn.find("Anonymous statistics").unwrap() - 2;
        drawn[at..].lines().take(2).collect::<Vec<_>>().join(" | ")
    };
    let unsent = "_ Anonymous statistics (nothing is sent) | Show what would be sent…";
    assert_eq!(lines(true, Some("endpoint")), unsent);
    assert_eq!(lines(true, Some("valid_endpoint")), unsent);
    // The notice is about to be shown; an older core does not tell, and a newer one may have other words.
    for needs in [None, Some("notice"), Some("patience")] {
        assert_eq!(lines(true, needs), "x Anonymous statistics | Show what is sent…");
    }
    assert_eq!(lines(false, None), "_ Anonymous statistics | [Show what is sent…]");
}
