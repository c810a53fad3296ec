//! The simulated installations of `tests/data/heartbeats`, and the comparison with their true numbers.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;

use mcpproxy::collector::audience::Audience;
use mcpproxy::collector::lines;
use mcpproxy::collector::stats::Stats;
use mcpproxy::collector::store::Entry;
use serde_json::{Value, json};

pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/heartbeats").join(name)
}

/// Returns the events in the store's format.
pub fn events() -> Vec<Entry> {
    let text = std::fs::read_to_string(data("events.jsonl")).unwrap();
    text.lines().map(|line| lines::read(line).unwrap()).collect()
}

pub fn truth() -> Value {
    serde_json::from_slice(&std::fs::read(data("truth.json")).unwrap()).unwrap()
}

/// Shuffles a list, depending only on the seed.
pub fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for index in (1..list.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        list.swap(index, usize::try_from(state % (index as u64 + 1)).unwrap());
    }
}

/// Compares every figure that the true numbers contain.
pub fn compare(stats: &Stats, truth: &Value) {
    let audiences = [
        ("all", "all", ""),
        ("humans", "people", ""),
        ("humans_darwin", "people", "darwin"),
        ("humans_windows", "people", "windows"),
        ("humans_linux", "people", "linux"),
    ];
    for (name, who, system) in audiences {
        let figures = stats.to_json(Audience::parse(who, system).unwrap());
        for (key, expected) in truth[name].as_object().unwrap() {
            let found = match key.as_str() {
                // A known wrong calculation in the data, and a figure that the public page hides.
                "funnel_from_latest_WRONG" | "versions_below_k" => continue,
                "funnel" => json!({"each": figures["funnel"]["each"], "strict": figures["funnel"]["strict"]}),
                key => figures[key].clone(),
            };
            assert_eq!(without_zeros(&found), without_zeros(expected), "{name}: {key}");
        }
    }
    let all = stats.to_json(Audience::EVERYTHING);
    let people = stats.to_json(Audience::PEOPLE);
    assert_eq!(without_zeros(&all["env_kinds"]), without_zeros(&truth["env_split_installs"]));
    assert_eq!(without_zeros(&all["env_kind_days_7d"]), without_zeros(&truth["env_split_dau_last7"]));
    assert_eq!(without_zeros(&people["launch_source_30d"]), without_zeros(&truth["launch_source_30d"]));
}

/// Removes counts of zero, which may be present or not.
fn without_zeros(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.values().all(Value::is_number) => {
            let mut sorted: Vec<_> = map.iter().filter(|(_, count)| **count != json!(0)).collect();
            sorted.sort_by(|one, other| one.0.cmp(other.0));
            Value::Object(sorted.into_iter().map(|(key, count)| (key.clone(), count.clone())).collect())
        }
        Value::Object(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_by(|one, other| one.0.cmp(other.0));
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), without_zeros(value))).collect())
        }
        other => other.clone(),
    }
}
