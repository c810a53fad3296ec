//! Measures the activity log with 100,000 records: recording on the hot path, lists, pages, summaries and charts.
//!
//! `cargo bench --bench activity [FILE]` keeps the log in FILE, for a measurement of the web UI (`benches/page.mjs`).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may stop"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mcpproxy::activity::{ActivityLog, Call, Filter, Retention, UsageWindow};
use mcpproxy::contract::api::{ActivityKind, ActivitySource, ActivityStatus, CallIntent};

const RECORDS: usize = 100_000;
const SERVERS: usize = 1_000;
const TOOLS: usize = 10;

fn call(number: usize) -> Call {
    Call {
        kind: ActivityKind::ToolCall,
        source: ActivitySource::Mcp,
        server: format!("server-{:04}", number * 7 % SERVERS),
        tool: format!("tool_{}", number % TOOLS),
        status: if number.is_multiple_of(50) { ActivityStatus::Error } else { ActivityStatus::Success },
        error: number.is_multiple_of(50).then(|| "could not open `/tmp/x`: no such file".to_owned()),
        took: Duration::from_millis(number as u64 % 400),
        client: Some("claude-code".to_owned()),
        session: Some(format!("session-{}", number / 1_000)),
        intent: Some(CallIntent::Read),
        request_bytes: Some(120),
        response_bytes: Some(2_400),
        arguments: r#"{"path":"/home/user/notes.txt","lines":20}"#.to_owned(),
        response: "a line of text, as a tool returns it\n".repeat(40),
        ..Call::default()
    }
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let chosen = std::env::args().nth(1).filter(|word| !word.starts_with('-')).map(PathBuf::from);
    let path = chosen.unwrap_or_else(|| directory.path().join("activity.redb"));
    let log = ActivityLog::in_file(&path, Retention::default());
    let mut recording = Vec::with_capacity(RECORDS);
    for number in 0..RECORDS {
        let call = call(number);
        let start = Instant::now();
        log.call(call);
        recording.push(start.elapsed());
        if number % 5_000 == 4_999 {
            log.flush();
        }
    }
    report("recording one call", &mut recording);
    log.flush();
    println!(
        "{} records, {} MB",
        log.list(&Filter::default(), 1, 0).total,
        std::fs::metadata(&path).unwrap().len() >> 20
    );

    let text = |text: &str| Some(text.to_owned());
    let all = Filter::default();
    let calls = Filter {
        kinds: vec![ActivityKind::ToolCall],
        ..Filter::default()
    };
    let failed = Filter {
        status: Some(ActivityStatus::Error),
        server: text("server-0100"),
        ..calls.clone()
    };
    let words = Filter {
        text: text("no such file"),
        ..Filter::default()
    };
    let missing = Filter {
        text: text("occurs nowhere"),
        ..Filter::default()
    };
    for (name, filter) in [
        ("all", &all),
        ("calls", &calls),
        ("failed calls of a server", &failed),
        ("text in 2,000 records", &words),
        ("text in no record", &missing),
    ] {
        for (page, offset) in [("first page", 0), ("second page", 50), ("page 1,000", 49_950)] {
            measure(&format!("{page}, {name}"), || log.list(filter, 50, offset).activities.len());
        }
    }
    measure("summary", || log.summary(&all, "all").total_count);
    for window in [UsageWindow::Hour, UsageWindow::Day, UsageWindow::Month] {
        measure(&format!("calls over time, {}", window.word()), || log.usage(window, true).timeline.len());
        measure(&format!("calls by tool, {}", window.word()), || log.usage(window, false).tools.len());
    }
    log.close();
}

fn measure(what: &str, mut act: impl FnMut() -> usize) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        black_box(act());
        times.push(start.elapsed());
    }
    report(what, &mut times);
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap();
    println!("{what:45} median {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
}
