//! Measures the cost of telemetry: `cargo bench --no-default-features --bench telemetry`.

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mcpproxy::telemetry::environment::classify;
use mcpproxy::telemetry::environment::observe::observe;
use mcpproxy::telemetry::payload::{HeartbeatPayload, Snapshot};
use mcpproxy::telemetry::scan::collect_identity::collect_identity;
use mcpproxy::telemetry::scan::{scan, verify};
use mcpproxy::telemetry::store::recorder::Recorder;

/// Times each of `runs` calls, and prints median and 99th percentile beside the goal.
fn measure<T>(name: &str, aim: &str, runs: usize, mut operation: impl FnMut() -> T) {
    for _ in 0..runs / 10 {
        black_box(operation());
    }
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(operation());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() - 1) * part / 100).copied().unwrap_or_default();
    println!("{name:<44} {:>12} {:>12}   {aim}", format!("{:.1?}", at(50)), format!("{:.1?}", at(99)));
}

fn main() {
    println!("{:<44} {:>12} {:>12}   aim", "", "median", "p99");
    measure("observe this machine and classify", "2 ms", 2_000, || classify(&observe()));
    let seen = observe();
    measure("classify alone", "", 20_000, || classify(&seen));
    measure("collect the identity (once per process)", "", 200, collect_identity);

    let identity = collect_identity();
    let snapshot = Snapshot::example();
    measure("payload and both nets", "100 µs", 20_000, || scan(&HeartbeatPayload::of(&snapshot), &identity));
    let foreign = br#"{"note":"C:\\Users\\x and %2Fhome%2Fy","list":["a@b.org","plain words only"]}"#;
    measure("both nets over a small foreign payload", "", 20_000, || verify(foreign, &identity));

    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(&directory.path().join("state.redb"));
    recorder.switch_on("2026-01-02").unwrap();
    let mut now = 1;
    measure("one durable activation write", "5 ms p99", 500, || {
        now += 1;
        recorder.retrieve_tools_called(now);
        recorder.flush(Duration::from_secs(10))
    });
    measure("hooks of one tool call, store on", "20 µs", 100_000, || {
        recorder.client_seen(Some("claude-code"));
        recorder.retrieve_tools_called(1);
        recorder.tools_returned(40, 15, 1);
    });
    recorder.switch_off();
    measure("hooks of one tool call, opted out", "", 100_000, || {
        recorder.client_seen(Some("claude-code"));
        recorder.retrieve_tools_called(1);
        recorder.tools_returned(40, 15, 1);
    });
}
