//! Next to a running Go core, with the answers that v0.60 gave.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::desk::{self, Desk};
use super::{NOTHING, seconds};
use crate::tray::menu::{Command, ServerCommand};

/// The answers of the Go core v0.60, by `METHOD path`.
fn recorded() -> BTreeMap<String, (u16, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/full");
    let mut answers = BTreeMap::new();
    for file in ["rest-v0.60.json", "actions-v0.60.json"] {
        let all: BTreeMap<String, Value> = serde_json::from_str(&desk::read(&folder.join(file))).unwrap();
        for (call, answer) in all.into_iter().filter(|(_, answer)| answer["status"].is_number()) {
            let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
            let call = call.split(' ').take(2).collect::<Vec<_>>().join(" ");
            answers.entry(call).or_insert((status, answer["body"]["data"].clone()));
        }
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn its_version_servers_and_waiting_tools_are_shown() {
    let desk = Desk::with_go_core(recorded()).await;
    assert_eq!(desk.taken(), ["follow"], "no second core");
    desk.pass(seconds(1)).await;
    let shown = desk.shown();
    for part in [
        "MCPProxy 0.60.0 — running",
        "2 tools to approve",
        "Profile: All servers",
        "Anonymous statistics",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_shown_as_stopping_and_its_stream_is_closed_because_it_waits_for_that() {
    let stopping = json!({"running": true, "status": {"phase": "Stopping", "message": "Server is stopping..."}});
    for sign in [
        "an event",
        "it is not ready",
        "it refuses connections",
        "it refuses a request",
    ] {
        let desk = Desk::with_go_core(recorded()).await;
        assert!(desk.is_followed());
        match sign {
            "an event" => {
                desk.bare_event("status", &stopping).await;
                desk.answers_ready(503, json!({"ready": false}));
            }
            "it is not ready" => desk.answers_ready(503, json!({"ready": false})),
            "it refuses connections" => desk.stops_listening(),
            _ => {
                desk.event("servers.changed", &json!({})).await;
                desk.stops_listening();
            }
        }
        let is_noticed = || !desk.is_followed() && desk.shown().contains("MCPProxy 0.60.0 — stopping");
        for _ in 0..40 {
            if is_noticed() {
                break;
            }
            desk.pass(Duration::from_millis(100)).await;
        }
        assert!(is_noticed(), "{sign}: {}", desk.shown());
        desk.core_ends(0, "").await;
        desk.pass(seconds(5)).await;
        assert!(desk.shown().contains("No core is running"), "{}", desk.shown());
        assert_eq!(desk.taken(), ["follow"], "it is not replaced");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_read_again_after_the_first_time_after_an_event_and_at_each_ping() {
    let early = json!({"name": "early", "enabled": true, "connected": true, "status": "ready", "tool_count": 0});
    let mut answers = recorded();
    answers.insert("GET /api/v1/servers".to_owned(), (200, json!({"servers": [early.clone()]})));
    let desk = Desk::with_go_core(answers).await;
    let mut later = early.clone();
    later["tool_count"] = json!(6);
    desk.answers("GET /api/v1/servers", 200, json!({"servers": [later.clone()]}));
    desk.pass(seconds(2)).await;
    assert!(desk.shown().contains("connected · 6 tools"), "{}", desk.shown());

    desk.event("servers.changed", &json!({"reason": "server_connected", "servers": [early]})).await;
    desk.pass(Duration::from_millis(300)).await;
    later["tool_count"] = json!(7);
    desk.answers("GET /api/v1/servers", 200, json!({"servers": [later.clone()]}));
    desk.pass(seconds(2)).await;
    assert!(desk.shown().contains("connected · 7 tools"), "{}", desk.shown());

    later["tool_count"] = json!(8);
    desk.answers("GET /api/v1/servers", 200, json!({"servers": [later]}));
    desk.event("ping", &json!({})).await;
    desk.pass(seconds(2)).await;
    assert!(desk.shown().contains("connected · 8 tools"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn its_logs_open_under_its_names_and_in_its_directory() {
    let desk = Desk::with_go_core(recorded()).await;
    let logs = desk.root.path().join("go-logs");
    desk::create(&logs);
    desk::write(&desk.root.config(), &json!({"logging": {"log_dir": logs}}).to_string());
    for (server, file) in [
        ("changing", "server-changing.log"),
        ("io.github.ann/notes", "server-io.github.ann_notes.log"),
    ] {
        desk.taken();
        desk.choose(Command::Server(ServerCommand::ViewLog, server.to_owned())).await;
        assert_eq!(desk.taken(), ["open go-logs"], "{server} has none yet");
        desk::write(&logs.join(file), "INFO connected\n");
        desk.choose(Command::Server(ServerCommand::ViewLog, server.to_owned())).await;
        assert_eq!(desk.taken(), [format!("open {file}")]);
    }
    desk.choose(Command::OpenLogs).await;
    assert_eq!(desk.taken(), ["open go-logs"]);
}

#[tokio::test(start_paused = true)]
async fn its_report_is_shown_and_its_statistics_are_turned_off() {
    let desk = Desk::with_go_core(recorded()).await;
    desk.taken();
    desk.choose(Command::ShowReport).await;
    assert_eq!(desk.taken(), ["open next-report.json"]);
    let report: Value = serde_json::from_str(&desk::read(&desk.root.logs().join("next-report.json"))).unwrap();
    assert_eq!(report, recorded()["GET /api/v1/telemetry/payload"].1, "as the core would send it");

    let mut config = recorded()["GET /api/v1/config"].1.clone();
    config["config"]["telemetry"]["enabled"] = json!(false);
    desk.answers("GET /api/v1/config", 200, config);
    desk.choose(Command::ToggleStatistics).await;
    let sent = r#"PATCH /api/v1/config {"telemetry":{"enabled":false}}"#;
    assert_eq!(desk.taken(), ["untick statistics", sent]);
    desk.choose(Command::ToggleStatistics).await;
    let sent = r#"PATCH /api/v1/config {"telemetry":{"enabled":true}}"#;
    assert_eq!(desk.taken()[1..], [sent], "the menu shows that they are off");
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_explained_by_the_last_error_of_its_coloured_log() {
    let desk = Desk::with_own_core().await;
    let log = "2026-11-30 02:41:54\t\u{1b}[31mERROR\u{1b}[0m\tserver.go:9\tFailed to open database\t{\"error\": \"no space left\"}\n\
               2026-11-30 02:41:54\t\u{1b}[34mINFO\u{1b}[0m\tlifecycle.go:355\tSuccessfully indexed tools\t{\"count\": 22}\n";
    for _ in 0..2 {
        desk.core_ends(1, log).await;
        desk.pass(seconds(1)).await;
    }
    assert!(desk.shown().contains("The core crashed: Failed to open database: no space left"), "{}", desk.shown());
    assert!(!desk.shown().contains("[31m"), "{}", desk.shown());
    desk.pass(seconds(60)).await;
    desk.core_ends(1, log.lines().nth(1).unwrap()).await;
    desk.pass(seconds(1)).await;
    assert!(desk.shown().contains("it exited with code 1 and no message"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn a_core_with_strange_answers_is_reported_with_advice_and_neither_stopped_nor_doubled() {
    let desk = Desk::with_strange_core().await;
    desk.pass(seconds(90)).await;
    let shown = desk.shown();
    for part in [
        "The core is running but not responding: could not",
        "understand the answer of the core",
        "Quit the running core, then choose Start core",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(desk.taken(), NOTHING);
}
