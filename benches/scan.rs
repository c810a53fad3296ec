//! Measures the scanner on 4 kB of arguments or results, and on one tool.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may stop"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mcpproxy::scan::sensitive::{Action, decide};
use mcpproxy::scan::{Neighbours, scan_tool};

fn main() {
    let honest = include_str!("../tests/data/scan/honest.jsonl");
    let mut pieces = Vec::new();
    let mut at = 0;
    while at + 4096 < honest.len() {
        let end = honest.floor_char_boundary(at + 4096);
        pieces.push(honest.get(at..end).unwrap());
        at = end;
    }
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        for piece in &pieces {
            let start = Instant::now();
            black_box(decide(Action::Warn, piece));
            times.push(start.elapsed());
        }
    }
    report("sensitive data in 4 kB", &mut times);

    let tools: Vec<serde_json::Value> = honest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let neighbours = Neighbours::default();
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        for entry in &tools {
            let start = Instant::now();
            black_box(scan_tool("s", entry.get("tool").unwrap_or(entry), &neighbours));
            times.push(start.elapsed());
        }
    }
    report("tool poisoning in one tool", &mut times);
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    println!("{what}: p50 {:?}, p99 {:?} ({} runs)", at(50), at(99), times.len());
}
