//! Checks the classification of environments on the public truth set. Each line of `data/environments.jsonl` names its
//! source.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use mcpproxy::contract::run_facts::EnvKind;
use mcpproxy::telemetry::environment::classify;
use mcpproxy::telemetry::environment::observation::Observation;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    source: String,
    expect: EnvKind,
    observation: Observation,
}

fn cases() -> Vec<Case> {
    include_str!("data/environments.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_case_of_the_truth_set_is_classified_right() {
    let cases = cases();
    let wrong: Vec<String> = (1..)
        .zip(&cases)
        .filter_map(|(line, case)| {
            let verdict = classify(&case.observation);
            let said =
                format!("line {line} ({}): {:?}, not {:?}: {}", case.source, verdict.kind, case.expect, verdict.rule);
            (verdict.kind != case.expect).then_some(said)
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 250, "the set shrank to {}", cases.len());
}

#[test]
fn every_kind_and_every_system_is_in_the_truth_set() {
    let cases = cases();
    for kind in ["interactive", "ci", "cloud_ide", "container", "headless", "unknown"] {
        assert!(cases.iter().any(|case| case.expect.word() == kind), "{kind}");
    }
    for os in ["linux", "macos", "windows", "freebsd"] {
        assert!(cases.iter().any(|case| case.observation.os == os), "{os}");
    }
}

#[test]
fn markers_do_not_depend_on_the_verdict() {
    for case in cases() {
        let verdict = classify(&case.observation);
        assert_eq!(verdict.markers.has_tty, case.observation.tty);
        match verdict.kind {
            EnvKind::CloudIde => assert!(verdict.markers.has_cloud_ide_env, "{}", case.source),
            EnvKind::Ci => assert!(verdict.markers.has_ci_env, "{}", case.source),
            EnvKind::Container => assert!(verdict.markers.is_container, "{}", case.source),
            _ => {}
        }
    }
}
