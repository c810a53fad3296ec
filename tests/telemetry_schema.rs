//! Checks that `assets/telemetry/heartbeat-v3.schema.json` matches the payload's types. `scripts/generate` updates it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::path::PathBuf;

use mcpproxy::os::environment::Environment;
use mcpproxy::os::files;
use mcpproxy::telemetry::payload::HeartbeatPayload;

const PAGE: &str = include_str!("../docs/telemetry.md");

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/telemetry/heartbeat-v3.schema.json")
}

fn of_the_types() -> String {
    let mut text = serde_json::to_string_pretty(&HeartbeatPayload::schema()).unwrap();
    text.push('\n');
    text
}

/// Writes the file if `GENERATE` is set; otherwise checks that it is current.
#[test]
fn the_schema_file_is_what_the_types_say() {
    if Environment::read(|name| name == "GENERATE").non_empty("GENERATE").is_some() {
        files::replace_private(&path(), of_the_types().as_bytes()).unwrap();
    }
    let file = std::fs::read_to_string(path()).unwrap().replace("\r\n", "\n");
    assert!(file == of_the_types(), "the schema is out of date: run scripts/generate");
}

#[test]
fn every_field_is_documented_with_an_example() {
    let schema = HeartbeatPayload::schema();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let doc = field["description"].as_str().unwrap_or_default();
        assert!(doc.contains("Example: "), "{name}");
        assert!(PAGE.contains(&format!("| `{name}` |")), "docs/telemetry.md lacks {name}: run scripts/generate");
    }
}
