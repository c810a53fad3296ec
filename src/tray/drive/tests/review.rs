//! Reviews in the tray: what is shown is what is approved.

use serde_json::json;

use super::desk::Desk;
use super::{NOTHING, seconds};
use crate::contract::review::Review;
use crate::tray::decision::{Decision, Reviewed};
use crate::tray::drive::Input;
use crate::tray::menu::{Command, ServerCommand};

fn review(fingerprint: &str, command: &str) -> Review {
    Review {
        name: "time".to_owned(),
        fingerprint: fingerprint.to_owned(),
        needs_approval: true,
        command: Some(command.to_owned()),
        ..Review::default()
    }
}

async fn desk_with_a_new_server(review: serde_json::Value) -> Desk {
    let desk = Desk::with_own_core().await;
    let server = json!({"name": "time", "enabled": true, "quarantined": true, "command": "uvx"});
    desk.event("servers.changed", &json!({"servers": [server]})).await;
    desk.answers("GET /api/v1/servers/time/review", 200, review);
    desk
}

#[tokio::test(start_paused = true)]
async fn the_approval_is_for_the_review_in_the_window_and_a_change_is_shown_first() {
    let desk = desk_with_a_new_server(json!(review("f1", "uvx"))).await;
    let call = "POST /api/v1/servers/time/approve";
    let change = json!({"field": "command", "before": "uvx", "after": "rm"});
    desk.answers(call, 409, json!({"changes": [change], "unconfirmed": [], "review": review("f2", "rm")}));
    let shown = Decision::ApproveReviewed(Box::new(Reviewed::new(review("f1", "uvx"), None)));
    desk.send(Input::Decided(shown)).await;
    let sent = |fingerprint: &str| format!("{call} {}", json!({"fingerprint": fingerprint}));
    assert_eq!(desk.taken(), [sent("f1"), "ask Approve time?".to_owned()], "asked again, not approved");

    desk.answers(call, 200, json!({"server": "time"}));
    desk.send(Input::Decided(Decision::ApproveReviewed(Box::new(Reviewed::new(review("f2", "rm"), None))))).await;
    assert_eq!(desk.taken(), [sent("f2")]);
}

#[tokio::test(start_paused = true)]
async fn a_review_that_the_tray_cannot_show_in_full_is_not_offered_for_approval() {
    let mut unknown = json!(review("f1", "uvx"));
    unknown["also_runs"] = json!("rm");
    for (code, answer) in [(200, unknown), (200, json!({})), (404, json!("no such server"))] {
        let desk = desk_with_a_new_server(json!(null)).await;
        desk.answers("GET /api/v1/servers/time/review", code, answer);
        desk.choose(Command::Server(ServerCommand::Approve, "time".to_owned())).await;
        assert_eq!(desk.taken(), NOTHING, "neither a window nor the old way without a fingerprint");
        desk.pass(seconds(1)).await;
        assert!(desk.shown().contains("Could not review time"), "{}", desk.shown());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_approved_before_the_user_confirms() {
    let desk = desk_with_a_new_server(json!(review("f1", "uvx"))).await;
    desk.choose(Command::Server(ServerCommand::Approve, "time".to_owned())).await;
    let taken = desk.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].starts_with("ask "), "{taken:?}");
}
