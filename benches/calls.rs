//! What a call through a proxy costs beside the same call without one; `scripts/bench` runs it, with peers to compare.
//!
//! `calls SECONDS NAME SERVERS PATH COMMAND... ';' NAME …`: each command starts a proxy on the port `{port}` in front of the fast
//! upstream below (`{upstream}` is this program; with the argument `upstream` it is one, on standard input and output).

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![allow(clippy::indexing_slicing, reason = "same")]

use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod session;

use session::{Failure, Running, Session, Target};

const SESSIONS: [usize; 3] = [1, 16, 128];
const STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(10);

/// What the fast upstream answers; `None` to a notification.
fn answer(request: &Value) -> Option<Value> {
    let id = request.get("id")?;
    let result = match request["method"].as_str()? {
        "initialize" => json!({"protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "fast", "version": "1"}}),
        "tools/list" => json!({"tools": [{"name": "echo", "description": "Says it again",
            "inputSchema": {"type": "object", "properties": {"message": {"type": "string"}}},
            "annotations": {"readOnlyHint": true}}]}),
        "tools/call" => json!({"content": [{"type": "text", "text": request["params"]["arguments"]["message"]}]}),
        "ping" => json!({}),
        _ => return Some(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}})),
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// The fast upstream over standard input and output.
fn serve_stdio() {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        if let Some(answer) = answer(&serde_json::from_str(&line.unwrap()).unwrap()) {
            // One write for a line, so that it wakes the reader once.
            output.write_all(format!("{answer}\n").as_bytes()).unwrap();
            output.flush().unwrap();
        }
    }
}

/// The fast upstream over streamable HTTP, for the call without a proxy.
async fn serve_http(listener: TcpListener) {
    async fn respond(body: Bytes) -> Response {
        match answer(&serde_json::from_slice(&body).unwrap()) {
            Some(answer) => ([("content-type", "application/json")], answer.to_string()).into_response(),
            None => StatusCode::ACCEPTED.into_response(),
        }
    }
    axum::serve(listener, Router::new().route("/mcp", post(respond))).await.unwrap();
}

/// The name of the upstream's tool, once it is there.
async fn echo(session: &mut Session) -> Result<String, Failure> {
    let listed = session.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})).await?;
    let mut names = listed["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str());
    Ok(names.find(|name| name.ends_with("echo")).ok_or("not listed yet")?.to_owned())
}

/// A call's parameters: the tool itself, or through `call_tool_read`.
fn parameters(tool: &str) -> Value {
    match tool.split_once(':') {
        Some(_) => json!({"name": "call_tool_read", "arguments": {"name": tool, "args": {"message": "hello"}}}),
        None => json!({"name": tool, "arguments": {"message": "hello"}}),
    }
}

/// Every session calls as often as it can, one call after the other.
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

async fn print_load(name: &str, target: &Target, tool: &str, seconds: f64) {
    let warm = load(target, tool, 1, Duration::from_millis(300)).await;
    if let Err(error) = warm {
        println!("{name:<34} failed: {error}");
        return;
    }
    for sessions in SESSIONS {
        match load(target, tool, sessions, Duration::from_secs_f64(seconds)).await {
            Ok((times, rate)) => {
                let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
                println!("{name:<34} {sessions:>8} {:>9.3} {:>9.3} {rate:>9.0}", at(50), at(99));
            }
            Err(error) => println!("{name:<34} {sessions:>8} failed: {error}"),
        }
    }
}

/// A proxy to be measured.
struct Subject {
    name: String,
    servers: String,
    path: String,
    command: Vec<String>,
}

impl Subject {
    /// Starts it and waits for the upstream's tool: the process, its address, the time and the tool.
    async fn start(&self, upstream: &str) -> Result<(Running, Target, Duration, String), Failure> {
        let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let filled = |text: &String| text.replace("{port}", &port.to_string()).replace("{upstream}", upstream);
        let mut command = self.command.iter().map(filled);
        let program = command.next().ok_or("no command")?;
        let begin = Instant::now();
        let mut command_line = Command::new(program);
        command_line.args(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(command_line.spawn()?);
        let target = Target {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            path: self.path.clone(),
        };
        loop {
            let listed = async { echo(&mut Session::open(target.clone()).await?).await };
            match tokio::time::timeout(Duration::from_secs(5), listed).await.unwrap_or_else(|late| Err(late.into())) {
                Ok(tool) => return Ok((running, target, begin.elapsed(), tool)),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }
}

/// Resident memory of a process and its children in MB, the upstreams' own left out; 0 where there is no /proc.
fn memory(root: u32, upstream: &Path) -> f64 {
    let own = std::fs::read_link(format!("/proc/{root}/exe")).ok();
    let status = std::fs::read_to_string(format!("/proc/{root}/status")).unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    let resident = resident.filter(|_| own.as_deref() != Some(upstream)).unwrap_or_default() / 1024.0;
    let tasks = std::fs::read_dir(format!("/proc/{root}/task")).into_iter().flatten().flatten();
    let children = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let below: f64 = children
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .map(|id| memory(id, upstream))
        .sum();
    resident + below
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "upstream") {
        return serve_stdio();
    }
    let upstream = std::env::current_exe().unwrap();
    let seconds = arguments.first().and_then(|seconds| seconds.parse().ok()).unwrap_or(3.0);
    let subjects: Vec<Subject> = arguments
        .get(1..)
        .unwrap_or_default()
        .split(|argument| argument == ";")
        .filter_map(|one| {
            let [name, servers, path, command @ ..] = one else { return None };
            Some(Subject {
                name: name.clone(),
                servers: servers.clone(),
                path: path.clone(),
                command: command.to_vec(),
            })
        })
        .collect();

    println!("{:<34} {:>8} {:>9} {:>9} {:>9}", "", "sessions", "p50 ms", "p99 ms", "calls/s");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target {
        address: listener.local_addr().unwrap(),
        path: "/mcp".to_owned(),
    };
    tokio::spawn(serve_http(listener));
    print_load("direct", &target, "echo", seconds).await;
    let mut costs = Vec::new();
    for subject in &subjects {
        let mut starts = Vec::new();
        let mut last = None;
        for _ in 0..STARTS {
            drop(last.take());
            match subject.start(&upstream.to_string_lossy()).await {
                Ok((running, target, took, tool)) => {
                    starts.push(took);
                    last = Some((running, target, tool));
                }
                Err(error) => println!("{:<34} does not start: {error}", subject.name),
            }
        }
        let Some((running, target, tool)) = last else { continue };
        tokio::time::sleep(Duration::from_secs(2)).await;
        let idle = memory(running.0.id(), &upstream);
        starts.sort_unstable();
        print_load(&subject.name, &target, &tool, seconds).await;
        if let Some(server) = tool.strip_suffix("__echo").filter(|_| subject.path == "/mcp/all") {
            let searched = Target {
                path: "/mcp".to_owned(),
                ..target
            };
            print_load("  through call_tool_read", &searched, &format!("{server}:echo"), seconds).await;
        }
        let loaded = memory(running.0.id(), &upstream);
        costs.push((subject, starts[starts.len() / 2], idle, loaded));
    }
    println!("\n{:<34} {:>8} {:>12} {:>9} {:>9}", "", "servers", "start ms", "idle MB", "after MB");
    for (subject, start, idle, loaded) in costs {
        let start = start.as_secs_f64() * 1e3;
        println!("{:<34} {:>8} {start:>12.0} {idle:>9.1} {loaded:>9.1}", subject.name, subject.servers);
    }
}
