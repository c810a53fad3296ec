//! Announces new records of the activity log in `/events`.

use std::sync::Arc;
use std::time::Duration;

use crate::activity::Filter;
use crate::contract::api::{ActivityKind, ActivityRecord, ActivityStatus, EventBody};
use crate::server::state::App;

/// Maximum number of records to announce at once: a flood of calls must not displace all other events.
const MOST: usize = 20;
/// Pause after each announcement.
const PAUSE: Duration = Duration::from_millis(500);

/// Announces new records until the core stops. Announces only the newest of many simultaneous records.
pub async fn tell_activity(app: Arc<App>) {
    let mut newest = app.activity.newest();
    let mut told: u64 = 0;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            changed = newest.changed() => if changed.is_err() { return },
        }
        let log = app.activity.clone();
        let records = tokio::task::spawn_blocking(move || log.list(&Filter::default(), MOST, 0).activities).await;
        for record in records.unwrap_or_default().into_iter().rev() {
            let Ok(id) = record.id.parse::<u64>() else { continue };
            if id <= told {
                continue;
            }
            told = id;
            tell(&app, record);
        }
        if !app.pause(PAUSE).await {
            return;
        }
    }
}

fn tell(app: &App, mut record: ActivityRecord) {
    // Events omit the contents, which clients can request with the record.
    (record.arguments, record.response) = (None, None);
    let timestamp = crate::os::clock::now().as_second();
    let sensitive = record.has_sensitive_data;
    let name = event_name(&record);
    let data = serde_json::to_string(&EventBody {
        payload: record,
        timestamp,
    })
    .unwrap_or_default();
    if sensitive {
        app.events.add("sensitive_data.detected", data.clone());
    }
    app.events.add(name, data);
}

/// Returns the event of a record.
fn event_name(record: &ActivityRecord) -> &'static str {
    match record.kind {
        ref kind if kind.is_call() && record.status == ActivityStatus::Blocked => "activity.policy_decision",
        ActivityKind::ToolCall => "activity.tool_call.completed",
        ActivityKind::InternalToolCall => "activity.internal_tool_call.completed",
        ActivityKind::QuarantineChange => "activity.quarantine_change",
        ActivityKind::ToolQuarantineChange => "activity.tool_quarantine_change",
        ActivityKind::ConfigChange => "activity.config_change",
        ActivityKind::SystemStart => "activity.system.start",
        ActivityKind::SystemStop => "activity.system.stop",
        ActivityKind::ServerChange | ActivityKind::ServerFix | ActivityKind::Unknown(_) => "activity.server_change",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_is_a_policy_decision() {
        let record = |kind, status| ActivityRecord {
            kind,
            status,
            ..ActivityRecord::default()
        };
        assert_eq!(event_name(&record(ActivityKind::ToolCall, ActivityStatus::Blocked)), "activity.policy_decision");
        assert_eq!(event_name(&record(ActivityKind::ToolCall, ActivityStatus::Error)), "activity.tool_call.completed");
        assert_eq!(event_name(&record(ActivityKind::ConfigChange, ActivityStatus::Success)), "activity.config_change");
    }
}
