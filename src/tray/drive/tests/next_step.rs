//! The second step of the first-run window.

use serde_json::json;

use super::NOTHING;
use super::desk::{Desk, FIRST_PID};
use crate::contract::names;
use crate::tray::drive::Input;
use crate::tray::first_run::{Answer, Choice};
use crate::tray::menu::Command;

fn found(unconnected: &[&str], servers: u32) -> serde_json::Value {
    let clients: Vec<_> = unconnected.iter().map(|id| json!({"id": id, "name": id})).collect();
    json!({"unconnected": clients, "servers": servers})
}

/// A core with a web UI.
async fn with_web_ui() -> Desk {
    let desk = Desk::with_own_core().await;
    let info = json!({"pid": FIRST_PID, "version": "1.2.3", "implementation": names::IMPLEMENTATION,
        "listen_addr": "127.0.0.1:8080", "web_ui_url": "http://127.0.0.1:8080/ui/"});
    desk.send(Input::Info(Box::new(serde_json::from_value(info).unwrap()))).await;
    desk
}

#[tokio::test(start_paused = true)]
async fn after_continue_the_found_clients_can_be_connected() {
    let desk = with_web_ui().await;
    desk.answers("GET /api/v1/setup", 200, found(&["cursor"], 0));
    desk.answers("POST /api/v1/connect/cursor", 200, json!({"success": true}));
    desk.send(Input::Answered(Answer::Closed)).await;
    assert_eq!(desk.taken(), NOTHING, "a closed window asks nothing");
    desk.send(Input::Answered(Answer::Continue { ticked: false })).await;
    assert_eq!(desk.taken(), ["ask next Some(\"Connect cursor\")"]);

    let shown = Box::new(serde_json::from_value(found(&["cursor"], 0)).unwrap());
    desk.answers("GET /api/v1/setup", 200, found(&[], 0));
    desk.send(Input::NextChosen(Choice::Connect, shown)).await;
    let expected = [r#"POST /api/v1/connect/cursor {}"#, "ask next None"];
    assert_eq!(desk.taken(), expected, "it leads on to what is left");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_set_up_gets_no_second_window() {
    let desk = with_web_ui().await;
    desk.answers("GET /api/v1/setup", 200, found(&[], 2));
    desk.send(Input::Answered(Answer::Continue { ticked: false })).await;
    assert_eq!(desk.taken(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn pages_are_opened_with_a_ticket() {
    let desk = with_web_ui().await;
    desk.answers("POST /api/v1/ui/ticket", 200, json!({"url": "http://127.0.0.1:1/ui/open?ticket=t"}));
    for (command, page) in [
        (Command::OpenDashboard, ""),
        (Command::AddServer, "&to=%2Fui%2Fadd"),
        (Command::ImportServers, "&to=%2Fui%2Fadd%23import"),
        (Command::GetStarted, "&to=%2Fui%2Fsetup"),
    ] {
        desk.choose(command).await;
        let taken = desk.taken();
        assert!(taken.contains(&format!("open open?ticket=t{page}")), "{taken:?}");
    }
}
