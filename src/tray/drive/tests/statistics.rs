//! The menu's item for usage reports.

use serde_json::json;

use super::desk::Desk;
use super::{NOTHING, seconds};
use crate::contract::api::{Sending, TelemetryState};
use crate::tray::drive::Input;
use crate::tray::first_run::Answer;
use crate::tray::menu::Command;
use crate::tray::preferences::Preferences;
use crate::tray::write_state;

#[tokio::test(start_paused = true)]
async fn the_notice_is_reported_once_after_the_first_answer() {
    let status = json!({"telemetry": {"enabled": true, "notice_shown": false}});
    let desk = Desk::with_own_core().await;
    desk.send(Input::Status(Box::new(serde_json::from_value(status.clone()).unwrap()))).await;
    desk.send(Input::Answered(Answer::Closed)).await;
    assert_eq!(desk.taken(), NOTHING, "closing the window is not an answer");

    desk.send(Input::Answered(Answer::Continue { ticked: false })).await;
    assert_eq!(desk.taken(), [r#"PATCH /api/v1/config {"telemetry":{"notice_shown":true}}"#]);
    desk.send(Input::Status(Box::new(serde_json::from_value(status).unwrap()))).await;
    assert_eq!(desk.taken(), NOTHING, "once");
    let stored = write_state::read_preferences(&desk.root).unwrap();
    assert!(stored != Preferences::default() && stored.first_run.answer.is_some());
}

#[tokio::test(start_paused = true)]
async fn statistics_that_the_environment_turned_off_stay_off() {
    let desk = Desk::with_own_core().await;
    let off = TelemetryState {
        enabled: false,
        sending: Sending::Off,
        reason: "Off: DO_NOT_TRACK".to_owned(),
        notice_shown: true,
        needs: None,
    };
    desk.answers("GET /api/v1/status", 200, json!({"telemetry": off}));
    desk.send(Input::Status(Box::new(serde_json::from_value(json!({"telemetry": off})).unwrap()))).await;
    desk.choose(Command::ToggleStatistics).await;
    assert_eq!(
        desk.taken(),
        [
            "untick statistics",
            r#"PATCH /api/v1/config {"telemetry":{"enabled":true}}"#
        ]
    );
    desk.pass(seconds(1)).await;
    assert!(desk.shown().contains("Off: DO_NOT_TRACK"), "{}", desk.shown());
}

#[tokio::test(start_paused = true)]
async fn statistics_that_cannot_be_sent_have_no_tick_and_are_still_turned_off_and_on() {
    let desk = Desk::with_own_core().await;
    let item = |desk: &Desk| {
        let shown = desk.shown();
        let (before, after) = shown.split_once("Anonymous statistics").expect("the item");
        assert!(before.ends_with("label: \""), "{shown}");
        after.split_once("enabled").expect("its state").0.to_owned()
    };
    let on = json!({"telemetry": {"enabled": true, "sending": "waiting", "notice_shown": true, "needs": "endpoint"}});
    let off = json!({"telemetry": {"enabled": false, "sending": "off", "notice_shown": true}});
    desk.send(Input::Status(Box::new(serde_json::from_value(on.clone()).unwrap()))).await;
    desk.pass(seconds(1)).await;
    let unsent = item(&desk);
    assert!(unsent.contains("(nothing is sent)") && unsent.contains("checked: false"), "{unsent}");
    desk.taken();

    desk.answers("GET /api/v1/status", 200, off);
    desk.choose(Command::ToggleStatistics).await;
    desk.pass(seconds(1)).await;
    let sent = r#"PATCH /api/v1/config {"telemetry":{"enabled":false}}"#;
    assert_eq!(desk.taken(), ["untick statistics", sent]);
    let off = item(&desk);
    assert!(!off.contains("nothing is sent") && off.contains("checked: false"), "{off}");
    assert!(desk.shown().contains("no longer counted"), "{}", desk.shown());

    desk.answers("GET /api/v1/status", 200, on);
    desk.choose(Command::ToggleStatistics).await;
    desk.pass(seconds(1)).await;
    let sent = r#"PATCH /api/v1/config {"telemetry":{"enabled":true}}"#;
    assert_eq!(desk.taken(), ["untick statistics", sent]);
    assert_eq!(item(&desk), unsent);
}
