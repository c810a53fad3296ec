//! Measures calls and tool lists through a proxy, compared with direct access; `scripts/bench` runs it, with other
//! proxies for comparison.
//!
//! `calls calls SECONDS SUBJECT...` and `calls lists SUBJECT...`, with subjects in the format of `subject::Subject`, in
//! front of the fast upstream (this program with the argument `upstream`). The subjects are measured in turns, so that
//! a slow moment of the machine does not affect only one of them.

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::print_stderr, reason = "shows progress beside the table")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![allow(clippy::indexing_slicing, reason = "same")]

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod session;
mod subject;
mod upstream;

use session::{Failure, Session, Target, result};
use subject::{Rows, Started, Subject, median, percentile};

const SESSIONS: [usize; 3] = [1, 16, 128];
const TURNS: usize = 3;
const STARTS: usize = 3; // per turn
const TOOLS: [usize; 2] = [1_000, 10_000];
const LISTS: usize = 15; // per turn, if they take no longer than
const LISTS_END: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_WITH_MANY: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(2);

/// The fast upstream over streamable HTTP, for measurements without a proxy.
async fn direct(count: usize) -> Target {
    let list: Arc<str> = upstream::list(&upstream::generated(count)).into();
    let respond = move |body: Bytes| async move {
        let answered: Response = match upstream::answer(&body, &list) {
            Some(answer) => ([("content-type", "application/json")], answer).into_response(),
            None => StatusCode::ACCEPTED.into_response(),
        };
        answered
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/mcp", post(respond))).await.unwrap() });
    Target {
        address,
        path: "/mcp".to_owned(),
    }
}

fn list_request(cursor: Option<&Value>) -> Value {
    let params = cursor.map_or(json!({}), |cursor| json!({"cursor": cursor}));
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params})
}

/// Returns the name of the upstream's tool, once it is listed.
async fn echo(session: &mut Session) -> Result<Option<String>, Failure> {
    let listed = session.ask(&list_request(None)).await?;
    let mut names = listed["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str());
    Ok(names.find(|name| name.ends_with("echo")).map(str::to_owned))
}

/// Returns a call's parameters: for the tool itself, or through `call_tool_read`.
fn parameters(tool: &str) -> Value {
    match tool.split_once(':') {
        Some(_) => json!({"name": "call_tool_read", "arguments": {"name": tool, "args": {"message": "hello"}}}),
        None => json!({"name": tool, "arguments": {"message": "hello"}}),
    }
}

/// Makes sequential calls in each session, as fast as possible.
async fn load(
    target: &Target,
    tool: &str,
    sessions: usize,
    duration: Duration,
) -> Result<(Vec<Duration>, f64), Failure> {
    let mut open = Vec::new();
    for _ in 0..sessions {
        open.push(Session::open(target.clone()).await?);
    }
    let start = Instant::now();
    let calls = open.into_iter().map(|mut session| {
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": parameters(tool)});
        tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < duration {
                let begin = Instant::now();
                session.ask(&call).await?;
                times.push(begin.elapsed());
            }
            Ok::<_, Failure>(times)
        })
    });
    let mut times = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        times.extend(call.await??);
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    Ok((times, rate))
}

/// Adds p50, p99 and calls per second for each number of sessions.
async fn add_load(rows: &mut Rows, name: &str, target: &Target, tool: &str, seconds: f64) {
    if let Err(error) = load(target, tool, 1, Duration::from_millis(300)).await {
        rows.add(&row(name, SESSIONS[0]), Err(error));
        return;
    }
    for sessions in SESSIONS {
        let measured = load(target, tool, sessions, Duration::from_secs_f64(seconds)).await;
        let turn = measured.map(|(times, rate)| vec![percentile(&times, 50), percentile(&times, 99), rate]);
        rows.add(&row(name, sessions), turn);
    }
}

fn row(name: &str, column: impl std::fmt::Display) -> String {
    format!("{name:<34} {column:>8}")
}

/// Starts a subject several times per turn, and keeps the last process.
async fn started(subject: &Subject, home: &std::path::Path) -> Result<(Vec<f64>, Started, String), Failure> {
    let one_tool = [("{tools}", "1".to_owned())];
    let mut starts = Vec::new();
    loop {
        let (started, tool) = subject.start(home, &one_tool, PATIENCE, echo).await?;
        starts.push(started.took.as_secs_f64() * 1e3);
        if starts.len() == STARTS {
            return Ok((starts, started, tool));
        }
    }
}

async fn calls(seconds: f64, subjects: &[Subject]) {
    let homes = tempfile::tempdir().unwrap();
    let (mut loads, mut costs) = (Rows::new(), Rows::new());
    let upstream = direct(1).await;
    for turn in 1..=TURNS {
        eprintln!("calls: turn {turn} of {TURNS}");
        add_load(&mut loads, "direct", &upstream, "echo", seconds).await;
        for subject in subjects {
            let cost_row = row(&subject.name, &subject.servers);
            let (starts, started, tool) = match started(subject, &homes.path().join(&subject.name)).await {
                Ok(started) => started,
                Err(error) => {
                    costs.add(&cost_row, Err(format!("does not start: {error}").into()));
                    continue;
                }
            };
            tokio::time::sleep(IDLE).await;
            let idle = started.memory();
            add_load(&mut loads, &subject.name, &started.target, &tool, seconds).await;
            // Before the calls through our search mode, so that all subjects had the same load; after a pause to
            // release memory.
            tokio::time::sleep(IDLE).await;
            costs.add(&cost_row, Ok(vec![median(starts), idle, started.memory()]));
            if let Some(server) = tool.strip_suffix("__echo").filter(|_| subject.path == "/mcp/all") {
                let searched = Target {
                    path: "/mcp".to_owned(),
                    ..started.target
                };
                let tool = format!("{server}:echo");
                add_load(&mut loads, "  through call_tool_read", &searched, &tool, seconds).await;
            }
        }
    }
    println!("{} {:>9} {:>9} {:>9}", row("calls", "sessions"), "p50 ms", "p99 ms", "calls/s");
    for (name, numbers) in loads.medians() {
        match numbers {
            Ok(of) => println!("{name} {:>9.3} {:>9.3} {:>9.0}", of[0], of[1], of[2]),
            Err(error) => println!("{name} failed: {error}"),
        }
    }
    println!("\n{} {:>12} {:>9} {:>9}", row("", "servers"), "start ms", "idle MB", "after MB");
    for (name, numbers) in costs.medians() {
        match numbers {
            Ok(of) => println!("{name} {:>12.0} {:>9.1} {:>9.1}", of[0], of[1], of[2]),
            Err(error) => println!("{name} failed: {error}"),
        }
    }
}

/// Returns the complete list, as the result of each page.
async fn pages(session: &mut Session) -> Result<Vec<Value>, Failure> {
    let mut pages = vec![session.ask(&list_request(None)).await?];
    while let Some(cursor) = pages.last().and_then(|page| page.get("nextCursor")).filter(|cursor| !cursor.is_null()) {
        let cursor = cursor.clone();
        pages.push(session.ask(&list_request(Some(&cursor))).await?);
    }
    Ok(pages)
}

/// Returns the p50 of the time for a complete list, and how many of the upstream's tools it contains.
async fn time_lists(target: &Target, wanted: &HashSet<String>) -> Result<(f64, usize), Failure> {
    let mut session = Session::open(target.clone()).await?;
    let pages = pages(&mut session).await?;
    let tools = pages.iter().filter_map(|page| page["tools"].as_array()).flatten();
    let names = tools.filter_map(|tool| tool["name"].as_str());
    // A proxy adds the server's name before the tool's name.
    let plain = names.map(|name| name.rsplit("__").next().unwrap_or(name).rsplit('/').next().unwrap_or(name));
    let listed = plain.filter(|name| wanted.contains(*name)).collect::<HashSet<_>>().len();
    let cursors = pages.iter().filter_map(|page| page.get("nextCursor")).filter(|cursor| !cursor.is_null());
    let requests: Vec<_> = std::iter::once(None).chain(cursors.map(Some)).map(list_request).collect();

    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < LISTS && start.elapsed() < LISTS_END {
        let (begin, mut last) = (Instant::now(), Bytes::new());
        for request in &requests {
            last = session.exchange(request).await?;
        }
        times.push(begin.elapsed());
        result(&last, &requests[requests.len() - 1])?;
    }
    times.sort_unstable();
    Ok((percentile(&times, 50), listed))
}

/// Measures one turn of a proxy with this many tools: p50, memory before and after, listed tools.
async fn turn_of_lists(subject: &Subject, count: usize, wanted: &HashSet<String>) -> Result<Vec<f64>, Failure> {
    // A new home each time, because changed tools may need approval.
    let home = tempfile::tempdir()?;
    let fill = [("{tools}", count.to_string())];
    let started = subject.start(home.path(), &fill, PATIENCE_WITH_MANY, echo).await;
    let (started, _) = started.map_err(|error| format!("does not start: {error}"))?;
    tokio::time::sleep(IDLE).await;
    let idle = started.memory();
    let listed = tokio::time::timeout(PATIENCE_WITH_MANY, time_lists(&started.target, wanted)).await;
    let (p50, listed) = listed.map_err(|_| format!("no list within {PATIENCE_WITH_MANY:?}"))??;
    Ok(vec![p50, idle, started.memory(), listed as f64])
}

async fn lists(subjects: &[Subject]) {
    let mut rows = Rows::new();
    let upstreams = [direct(TOOLS[0]).await, direct(TOOLS[1]).await];
    for turn in 1..=TURNS {
        eprintln!("lists: turn {turn} of {TURNS}");
        for (upstream, count) in upstreams.iter().zip(TOOLS) {
            let names =
                upstream::generated(count).into_iter().filter_map(|tool| Some(tool["name"].as_str()?.to_owned()));
            let wanted: HashSet<String> = names.collect();
            let listed = time_lists(upstream, &wanted).await;
            rows.add(&row("direct", count), listed.map(|(p50, listed)| vec![p50, 0.0, 0.0, listed as f64]));
            for subject in subjects {
                rows.add(&row(&subject.name, count), turn_of_lists(subject, count, &wanted).await);
            }
        }
    }
    println!("{} {:>9} {:>9} {:>9} {:>9}", row("tools/list", "tools"), "p50 ms", "idle MB", "after MB", "listed");
    for (name, numbers) in rows.medians() {
        match numbers {
            Ok(of) if name.starts_with("direct") => {
                println!("{name} {:>9.2} {:>9} {:>9} {:>9.0}", of[0], "", "", of[3])
            }
            Ok(of) => println!("{name} {:>9.2} {:>9.1} {:>9.1} {:>9.0}", of[0], of[1], of[2], of[3]),
            Err(error) => println!("{name} failed: {error}"),
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [kind, arguments @ ..] if kind == "upstream" => upstream::serve(arguments),
        [kind, seconds, subjects @ ..] if kind == "calls" => {
            calls(seconds.parse().unwrap(), &Subject::read(subjects)).await;
        }
        [kind, subjects @ ..] if kind == "lists" => lists(&Subject::read(subjects)).await,
        _ => println!("run this through scripts/bench"),
    }
}
