#![allow(clippy::indexing_slicing, reason = "a test should fail at the failing line")]

use super::*;

fn example() -> Snapshot {
    Snapshot::example()
}

fn value() -> serde_json::Value {
    serde_json::to_value(HeartbeatPayload::of(&example())).unwrap()
}

#[test]
fn the_same_snapshot_gives_the_same_bytes() {
    let bytes = || serde_json::to_vec(&HeartbeatPayload::of(&example())).unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn activation_is_always_complete() {
    let empty = Snapshot {
        activation: Activation::default(),
        ..example()
    };
    let written = serde_json::to_value(HeartbeatPayload::of(&empty)).unwrap();
    assert_eq!(
        written["activation"],
        serde_json::json!({
            "first_connected_server_ever": false, "first_mcp_client_ever": false,
            "first_retrieve_tools_call_ever": false,
            "mcp_clients_seen_ever": [], "retrieve_tools_calls_24h": 0, "estimated_tokens_saved_24h_bucket": "0",
            "configured_ide_count": 0
        })
    );
}

#[test]
fn an_unknown_autostart_is_written() {
    assert!(value().as_object().unwrap().get("autostart_enabled").is_some_and(serde_json::Value::is_null));
}

#[test]
fn an_unpublished_client_is_only_other() {
    assert_eq!(value()["activation"]["mcp_clients_seen_ever"], serde_json::json!(["claude-code", "other", "unknown"]));
}

#[test]
fn version_3_keeps_every_field_of_version_2() {
    let value = value();
    let version_2 = "anonymous_id version edition os arch go_version server_count connected_server_count tool_count \
                     uptime_hours routing_mode quarantine_enabled timestamp schema_version anonymous_id_created_at \
                     current_version previous_version last_startup_outcome surface_requests builtin_tool_calls \
                     upstream_tool_call_count_bucket rest_endpoint_calls feature_flags error_category_counts \
                     doctor_checks";
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(keys.join(" ").starts_with(version_2), "{keys:?}");
    assert_eq!(value["schema_version"], 3);
}
