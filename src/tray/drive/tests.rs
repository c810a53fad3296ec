#![allow(clippy::indexing_slicing, reason = "a test should fail at the failing line")]

mod desk;
mod go_core;
mod next_step;
mod review;
mod statistics;

use std::time::Duration;

use serde_json::json;

use super::{Input, Where};
use crate::contract::exit_code::ExitCode;
use crate::contract::launch::TrayStart;
use crate::tray::decision::Decision;
use crate::tray::menu::{Command, ServerCommand};
use crate::tray::single_instance::InstanceRequest;
use crate::tray::supervisor::{Ask, Failure};
use crate::tray::write_state;
use desk::{Desk, FIRST_PID};

const NOTHING: [&str; 0] = [];

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

// The supervisor loop

#[tokio::test(start_paused = true)]
async fn a_core_is_started_followed_and_stopped_before_the_tray_quits() {
    let desk = Desk::without_core(|_| {}).await;
    assert_eq!(desk.taken(), ["start core", "follow"]);
    desk.pass(seconds(1)).await;
    assert!(desk.shown().contains("No servers yet"), "{}", desk.shown());

    desk.choose(Command::Quit).await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown"], "the tray waits for its core");
    desk.core_ends(0, "").await;
    assert_eq!(desk.taken(), ["leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_core_of_another_program_is_joined_and_survives_the_tray() {
    let desk = Desk::with_core("").await;
    assert_eq!(desk.taken(), ["follow"], "no second core");

    desk.choose(Command::StopCore).await;
    assert_eq!(desk.taken(), NOTHING);
    desk.choose(Command::Quit).await;
    assert_eq!(desk.taken(), ["leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_core_that_does_not_stop_is_terminated_and_then_killed() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::StopCore).await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown"]);
    desk.pass(seconds(4)).await;
    assert_eq!(desk.taken(), NOTHING, "it has 5 s");
    desk.pass(seconds(1)).await;
    assert_eq!(desk.taken(), [format!("terminate {FIRST_PID}")]);
    desk.pass(seconds(2)).await;
    assert_eq!(desk.taken(), NOTHING, "then 3 s");
    desk.pass(seconds(1)).await;
    assert_eq!(desk.taken(), [format!("kill {FIRST_PID}")]);

    desk.core_ends(137, "").await;
    desk.pass(seconds(3600)).await;
    assert_eq!(desk.taken(), NOTHING, "a stopped core stays stopped");
    assert!(desk.shown().contains("The core is stopped"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_is_faster() {
    let desk = Desk::with_own_core().await;
    desk.send(Input::Asked(Ask::SessionEnds)).await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown"]);
    desk.pass(Duration::from_millis(1500)).await;
    assert_eq!(desk.taken(), [format!("terminate {FIRST_PID}")]);
    desk.pass(seconds(2)).await;
    assert_eq!(desk.taken(), [format!("kill {FIRST_PID}"), "leave".to_owned()], "the tray does not wait any longer");
}

#[tokio::test(start_paused = true)]
async fn a_core_that_refuses_the_request_is_terminated_at_once() {
    let desk = Desk::with_own_core().await;
    desk.answers("POST /api/v1/shutdown", 500, json!("no"));
    desk.choose(Command::StopCore).await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown".to_owned(), format!("terminate {FIRST_PID}")]);
}

#[tokio::test(start_paused = true)]
async fn restart_starts_the_next_core_after_the_end_of_the_first() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::RestartCore).await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown"]);
    desk.core_ends(0, "").await;
    assert_eq!(desk.taken(), ["start core", "follow"]);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_core_is_started_again_after_growing_pauses_until_the_fifth_crash() {
    let desk = Desk::with_own_core().await;
    for pause in [1, 2, 4, 8] {
        desk.core_ends(1, "error: it broke").await;
        desk.pass(seconds(pause) - Duration::from_millis(600)).await;
        assert_eq!(desk.taken(), NOTHING, "after {pause} s and not before");
        // The first pause is too short for a view.
        assert!(pause == 1 || desk.shown().contains("The core crashed: it broke"), "{}", desk.shown());
        desk.pass(Duration::from_millis(600)).await;
        assert_eq!(desk.taken(), ["start core", "follow"]);
    }
    desk.core_ends(1, "error: it broke").await;
    desk.pass(seconds(3600)).await;
    assert_eq!(desk.taken(), NOTHING);
    assert!(desk.shown().contains("The core keeps crashing: it broke"), "{}", desk.shown());

    desk.choose(Command::StartCore).await;
    assert_eq!(desk.taken(), ["start core", "follow"], "the user may try again");
}

#[tokio::test(start_paused = true)]
async fn a_mistake_in_the_configuration_is_shown_and_not_retried() {
    let desk = Desk::with_own_core().await;
    let stderr = "error: `mcp_config.json` line 3: expected a string";
    desk.core_ends(ExitCode::Configuration as i32, stderr).await;
    desk.pass(seconds(3600)).await;
    assert_eq!(desk.taken(), NOTHING);
    assert!(desk.shown().contains("`mcp_config.json` line 3"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn a_missing_program_is_shown() {
    let desk = Desk::without_core(|_| {}).await;
    desk.core_ends(0, "").await;
    desk.taken();
    desk.next_start_fails(Failure::no_program("there is no program at `x`".to_owned()));
    desk.choose(Command::StartCore).await;
    desk.pass(seconds(2)).await;
    assert_eq!(desk.taken(), ["start core"]);
    assert!(desk.shown().contains("there is no program at"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn the_core_of_an_earlier_tray_is_replaced_when_it_ends() {
    let desk = Desk::with_core("tray").await;
    assert_eq!(desk.taken(), ["follow"]);
    desk.core_ends(0, "").await;
    assert_eq!(desk.taken(), NOTHING, "it may only be restarting");
    desk.pass(seconds(5)).await;
    assert_eq!(desk.taken(), ["start core", "follow"]);
}

#[tokio::test(start_paused = true)]
async fn the_core_of_another_program_is_not_replaced_when_it_ends_but_joined_again() {
    let desk = Desk::with_core("").await;
    desk.core_ends(0, "").await;
    desk.pass(seconds(600)).await;
    assert_eq!(desk.taken(), ["follow"], "only the first time");
    desk.core_returns();
    desk.pass(seconds(61)).await;
    assert_eq!(desk.taken(), ["follow"]);
}

#[tokio::test(start_paused = true)]
async fn an_older_core_of_an_earlier_tray_is_replaced_once_it_has_ended() {
    let desk = Desk::with_older_core("1.0.0").await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown"]);
    desk.pass(seconds(2)).await;
    assert_eq!(desk.taken(), NOTHING, "the old process still runs");
    desk.core_ends(0, "").await;
    assert_eq!(desk.taken(), ["start core", "follow"]);
}

#[tokio::test(start_paused = true)]
async fn without_start_core_automatically_a_core_starts_only_on_request() {
    let desk = Desk::without_core(|setting| setting.preferences.start_core = Some(false)).await;
    desk.pass(seconds(600)).await;
    assert_eq!(desk.taken(), NOTHING);
    assert!(desk.shown().contains("No core is running"), "{}", desk.shown());
    desk.choose(Command::StartCore).await;
    assert_eq!(desk.taken(), ["start core", "follow"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_of_the_tray_leaves_the_core_running() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::Relaunch).await;
    assert_eq!(desk.taken(), ["leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_start_shows_the_status_window_and_quit_quits() {
    let desk = Desk::with_own_core().await;
    desk.send(Input::InstanceRequested(InstanceRequest::Show)).await;
    assert_eq!(desk.taken(), ["show status window"]);
    desk.send(Input::InstanceRequested(InstanceRequest::Quit)).await;
    assert_eq!(desk.taken(), ["POST /api/v1/shutdown"]);
}

// Views

#[tokio::test(start_paused = true)]
async fn views_are_a_second_apart_and_the_last_one_is_shown() {
    let desk = Desk::with_own_core().await;
    desk.pass(seconds(5)).await;
    for hint in ["one", "two", "three"] {
        desk.send(Input::Hint(hint.to_owned())).await;
    }
    desk.pass(seconds(5)).await;
    assert!(desk.shown().contains("three"), "{}", desk.shown());
    let at = desk.shown_at();
    assert!(at.len() >= 3, "{at:?}");
    for two in at.windows(2) {
        assert!(two[1] - two[0] >= seconds(1), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_the_core_reach_the_menu() {
    let desk = Desk::with_own_core().await;
    desk.event("servers.changed", &json!({"servers": [{"name": "files", "enabled": true, "connected": true}]}))
        .await;
    desk.pass(seconds(1)).await;
    assert!(desk.shown().contains("files"), "{}", desk.shown());
    desk.core_ends(0, "").await;
    desk.pass(Duration::from_millis(800)).await;
    assert!(!desk.shown().contains("files"), "a core that has ended has no servers");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_reads_the_lists_of_the_core_at_most_once_a_second() {
    let desk = Desk::with_own_core().await;
    let read = || ["servers", "profiles"].map(|list| desk.requests(&format!("GET /api/v1/{list}")));
    let before = read();
    for number in 0..50 {
        // Each takes 300 ms.
        let server = json!({"name": format!("s{number}"), "enabled": true});
        desk.event("servers.changed", &json!({"servers": [server]})).await;
    }
    assert_eq!(read()[0], before[0], "the events contain the list");
    let profiles = read()[1] - before[1];
    assert!((10..=16).contains(&profiles), "{profiles}");
    desk.pass(seconds(2)).await;
    assert!(desk.shown().contains("s49"), "{}", desk.shown());
    let before = read();
    desk.pass(seconds(5)).await;
    assert_eq!(read(), before, "nothing is read without an event");
    for _ in 0..2 {
        desk.event("servers.changed", &json!({})).await;
        assert_eq!(read(), before.map(|count| count + 1), "at once, and the second time later");
    }
    desk.pass(seconds(1)).await;
    assert_eq!(read(), before.map(|count| count + 2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_icon_is_tried_again_after_growing_pauses() {
    let desk = Desk::with_own_core().await;
    for pause in [1, 2, 4] {
        desk.send(Input::IconFailed("no bus".to_owned())).await;
        desk.pass(seconds(pause) - Duration::from_millis(600)).await;
        assert_eq!(desk.taken(), NOTHING, "after {pause} s and not before");
        desk.pass(Duration::from_millis(600)).await;
        assert_eq!(desk.taken(), ["build icon"]);
    }
    desk.send(Input::IconBuilt).await;
    desk.send(Input::IconFailed("no bus".to_owned())).await;
    desk.pass(seconds(1)).await;
    assert_eq!(desk.taken(), ["build icon"], "success resets the pause");
}

#[tokio::test(start_paused = true)]
async fn a_missing_panel_opens_the_status_window_once_for_a_user_and_never_at_login() {
    for (start, told, is_shown) in [
        (TrayStart::Person, false, true),
        (TrayStart::Person, true, false),
        (TrayStart::Login, false, false),
    ] {
        let desk = Desk::without_core(|setting| {
            setting.start = start;
            setting.preferences.told_no_tray_host = told;
        })
        .await;
        desk.taken();
        desk.send(Input::HostSeen(false)).await;
        desk.pass(seconds(9)).await;
        assert_eq!(desk.taken(), NOTHING, "the panel has 10 s to appear");
        desk.pass(seconds(1)).await;
        let expected: Vec<&str> = is_shown.then_some("show status window").into_iter().collect();
        assert_eq!(desk.taken(), expected, "{start:?} {told}");
        desk.send(Input::HostSeen(false)).await;
        desk.pass(seconds(20)).await;
        assert_eq!(desk.taken(), NOTHING, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panel_that_appears_in_time_needs_no_status_window() {
    let desk = Desk::without_core(|setting| setting.start = TrayStart::Person).await;
    desk.taken();
    desk.send(Input::HostSeen(false)).await;
    desk.send(Input::HostSeen(true)).await;
    desk.pass(seconds(20)).await;
    assert_eq!(desk.taken(), NOTHING);
}

// The user's actions

#[tokio::test(start_paused = true)]
async fn a_command_for_a_server_is_one_request_and_its_error_is_shown() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::Server(ServerCommand::Restart, "a/b".to_owned())).await;
    assert_eq!(desk.taken(), ["POST /api/v1/servers/a%2Fb/restart"]);

    desk.answers("POST /api/v1/servers/time/disable", 404, json!("there is no server `time`"));
    desk.choose(Command::Server(ServerCommand::Disable, "time".to_owned())).await;
    assert_eq!(desk.taken(), ["POST /api/v1/servers/time/disable"]);
    desk.pass(seconds(1)).await;
    assert!(desk.shown().contains("Could not disable time"), "{}", desk.shown());

    desk.choose(Command::Server(ServerCommand::Enable, "other".to_owned())).await;
    desk.pass(seconds(1)).await;
    assert!(!desk.shown().contains("Could not"), "a success clears the error: {}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn the_sign_in_page_opens_here_if_the_core_has_no_browser_and_only_if_it_is_a_web_page() {
    for (url, opened, browsed) in [
        ("https://login.example/x", false, true),
        ("https://login.example/x", true, false),
        ("file:///bin/sh", false, false),
    ] {
        let desk = Desk::with_own_core().await;
        let answer = json!({"server": "mail", "auth_url": url, "browser_opened": opened});
        desk.answers("POST /api/v1/servers/mail/login", 200, answer);
        desk.choose(Command::Server(ServerCommand::SignIn, "mail".to_owned())).await;
        let mut expected = vec!["POST /api/v1/servers/mail/login".to_owned()];
        expected.extend(browsed.then(|| format!("browse {url}")));
        assert_eq!(desk.taken(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_a_client_asks_before_it_replaces_another_entry() {
    let desk = Desk::with_own_core().await;
    let client = json!({"id": "cursor", "name": "Cursor", "exists": true, "supported": true, "connected": false,
                        "config_path": "/x", "access_state": "accessible"});
    desk.answers("GET /api/v1/connect", 200, json!([client]));
    desk.send(Input::Clients(vec![serde_json::from_value(client).unwrap()])).await;

    let call = "POST /api/v1/connect/cursor";
    desk.answers(call, 409, json!("`mcp.json` already has a different server named `mcpproxy`"));
    let toggle = Command::ToggleClient("cursor".to_owned());
    desk.choose(toggle.clone()).await;
    assert_eq!(
        desk.taken(),
        [
            "untick client:cursor".to_owned(),
            format!("{call} {{}}"),
            "ask Replace the entry in Cursor?".to_owned()
        ]
    );

    desk.answers(call, 200, json!({"success": true}));
    let (id, client) = ("cursor".to_owned(), "Cursor".to_owned());
    desk.send(Input::Decided(Decision::ReplaceEntry {
        id,
        client,
        message: String::new(),
    }))
    .await;
    assert_eq!(desk.taken(), [format!("{call} {{\"force\":true}}")]);

    desk.send(Input::Chosen(toggle, Where::StatusWindow)).await;
    assert_eq!(desk.taken(), [format!("{call} {{}}")], "only the menu toggles checkmarks by itself");
}

#[tokio::test(start_paused = true)]
async fn the_address_is_copied_while_a_core_runs() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::CopyAddress).await;
    assert_eq!(desk.taken(), ["copy http://127.0.0.1:8080/mcp"]);
    desk.choose(Command::StopCore).await;
    desk.core_ends(0, "").await;
    desk.taken();
    desk.choose(Command::CopyAddress).await;
    desk.pass(seconds(1)).await;
    assert_eq!(desk.taken(), NOTHING);
    assert!(desk.shown().contains("no core is running"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn another_port_is_used_and_then_saved_by_the_core() {
    let desk = Desk::with_own_core().await;
    desk.core_ends(ExitCode::PortInUse as i32, "error: 127.0.0.1:8080 is in use").await;
    desk.choose(Command::UseOtherAddress).await;
    let taken = desk.taken();
    let address = taken[0].strip_prefix("start core at ").expect("the address").to_owned();
    assert_ne!(address, "127.0.0.1:8080");
    assert_eq!(
        taken[1..],
        [
            "follow".to_owned(),
            format!("PATCH /api/v1/config {{\"listen\":\"{address}\"}}")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn start_core_automatically_is_stored_and_a_damaged_file_is_not_overwritten() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::ToggleStartsCore).await;
    assert_eq!(desk.taken(), ["untick core.with-tray"]);
    assert_eq!(write_state::read_preferences(&desk.root).unwrap().start_core, Some(false));

    desk::write(&desk.root.tray_preferences(), "{ my notes");
    desk.choose(Command::ToggleStartsCore).await;
    desk.pass(seconds(1)).await;
    assert_eq!(desk.taken(), ["untick core.with-tray"], "the checkmark returns to its state");
    assert_eq!(desk::read(&desk.root.tray_preferences()), "{ my notes");
    assert!(desk.shown().contains("tray.json"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn files_open_only_if_they_exist() {
    let desk = Desk::with_own_core().await;
    desk.choose(Command::OpenConfiguration).await;
    desk.pass(seconds(1)).await;
    assert_eq!(desk.taken(), NOTHING);
    assert!(desk.shown().contains("exist yet"), "{}", desk.shown());
    desk::write(&desk.root.config(), "{}");
    desk.choose(Command::OpenConfiguration).await;
    assert_eq!(desk.taken(), ["open mcp_config.json"]);
    desk.choose(Command::ShowReport).await;
    assert_eq!(desk.taken(), ["open next-report.json"]);
}

#[cfg(all(unix, not(target_os = "macos")))]
#[tokio::test(start_paused = true)]
async fn run_at_startup_writes_the_entry_and_tells_the_core() {
    let desk = Desk::with_own_core().await;
    let entry =
        desk.root.path().parent().unwrap().join(".config/autostart").join(crate::contract::names::AUTOSTART_ENTRY);
    let sidecar = || desk::read(&desk.root.sidecar());
    assert!(!entry.exists() && sidecar().contains("\"enabled\":false"), "{}", sidecar());
    desk.choose(Command::ToggleAutostart).await;
    assert_eq!(desk.taken(), ["untick autostart"]);
    assert!(entry.exists() && sidecar().contains("\"enabled\":true"), "{}", sidecar());
    desk.choose(Command::ToggleAutostart).await;
    assert!(!entry.exists() && sidecar().contains("\"enabled\":false"), "{}", sidecar());
}
