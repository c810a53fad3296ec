//! Measures how a bad server affects calls to good servers beside it; `scripts/bench --neighbours` runs it.
//!
//! `neighbours SECONDS MCPPROXY` starts that core with 15 good servers and 5 bad ones, which are this program with the
//! argument `upstream` and a kind of misbehaviour. Alternately times calls to the good servers with each bad server
//! disabled and enabled.

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![allow(clippy::indexing_slicing, reason = "same")]

use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

mod session;

use session::{Failure, Running, Session, Target};

const GOOD: usize = 15;
const WAYS: [&str; 5] = ["hangs", "crashes", "floods", "sends", "deaf"];
const TURNS: usize = 3;
const KEY: &str = "key-of-the-benchmark";

fn say(message: &Value) {
    let mut output = std::io::stdout().lock();
    // The core may have stopped it.
    if output.write_all(format!("{message}\n").as_bytes()).and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Serves well, or badly in this way.
fn serve(way: &str) {
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let Some(id) = request.get("id") else { continue };
        let answer = |result: Value| say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
        match request["method"].as_str().unwrap() {
            "initialize" => answer(json!({"protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": way, "version": "1"}})),
            "tools/list" => {
                answer(
                    json!({"tools": [{"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}}]}),
                );
                misbehave(way);
            }
            "tools/call" if way == "hangs" => {}
            "tools/call" => {
                answer(json!({"content": [{"type": "text", "text": request["params"]["arguments"]["message"]}]}))
            }
            _ => answer(json!({})),
        }
    }
}

fn misbehave(way: &str) {
    match way {
        "crashes" => std::process::exit(3),
        "deaf" => std::thread::sleep(Duration::from_secs(1_000_000)),
        "floods" => {
            let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x".repeat(100)}});
            std::thread::spawn(move || {
                loop {
                    say(&log)
                }
            });
            std::thread::spawn(|| {
                let noise = "noise ".repeat(2000);
                while std::io::stderr().write_all(noise.as_bytes()).is_ok() {}
            });
        }
        "sends" => {
            let mut output = std::io::stdout().lock();
            let megabyte = vec![b'x'; 1 << 20];
            let _ = output.write_all(br#"{"jsonrpc":"2.0","id":77,"result":{"text":""#);
            for _ in 0..1024 {
                if output.write_all(&megabyte).is_err() {
                    return;
                }
            }
            let _ = output.write_all(b"\"}}\n");
        }
        _ => {}
    }
}

fn call(tool: &str, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": {"message": message}}})
}

/// Returns the median and 95th percentile of sequential calls to the good servers, in milliseconds.
async fn measure(target: &Target, duration: Duration) -> Result<(f64, f64), Failure> {
    let mut session = Session::open(target.clone()).await?;
    let calls: Vec<Value> = (0..GOOD).map(|number| call(&format!("good{number}__echo"), "hello")).collect();
    session.ask(&calls[0]).await?;
    let mut times = Vec::new();
    let start = Instant::now();
    for call in calls.iter().cycle() {
        let begin = Instant::now();
        session.ask(call).await?;
        times.push(begin.elapsed());
        if start.elapsed() > duration {
            break;
        }
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    Ok((at(50), at(95)))
}

/// Calls a bad server repeatedly, ignoring the results.
async fn call_for_ever(target: Target, way: &'static str, stop: Arc<AtomicBool>) {
    let call = call(&format!("{way}__echo"), &"x".repeat(1 << 16));
    while !stop.load(Ordering::Relaxed) {
        if let Ok(mut session) = Session::open(target.clone()).await {
            while !stop.load(Ordering::Relaxed) && session.ask(&call).await.is_ok() {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn switch(target: &Target, ways: &[&str], on: bool) -> Result<(), Failure> {
    for way in ways {
        let action = if on { "enable" } else { "disable" };
        rest(target, "POST", &format!("/api/v1/servers/{way}/{action}")).await?;
    }
    Ok(())
}

async fn rest(target: &Target, method: &str, path: &str) -> Result<Value, Failure> {
    let (mut connection, driver) = handshake(TokioIo::new(TcpStream::connect(target.address).await?)).await?;
    tokio::spawn(driver);
    let request = hyper::Request::builder().method(method).uri(path).header("host", target.address.to_string());
    let request = request.header("x-api-key", KEY).body(Empty::<hyper::body::Bytes>::new())?;
    let response = connection.send_request(request).await?;
    Ok(serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?)
}

/// Waits until every good server is connected.
async fn wait(target: &Target) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let listed = rest(target, "GET", "/api/v1/servers").await.unwrap_or_default();
        let servers = listed["data"]["servers"].as_array().cloned().unwrap_or_default();
        if servers.iter().filter(|server| server["connected"] == true).count() == GOOD {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(20) {
            return Err("the good servers are not connected".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (seconds, core) = match arguments.as_slice() {
        ["upstream", way] => return serve(way),
        [seconds, core] => (seconds.parse().unwrap(), *core),
        // `cargo bench` runs every benchmark, but this one needs a built core.
        _ => return println!("neighbours: run by scripts/bench --neighbours"),
    };
    let program = std::env::current_exe().unwrap();
    let entry = |name: &str, way: &str, enabled: bool| json!({"name": name, "command": program, "args": ["upstream", way], "enabled": enabled});
    let good = (0..GOOD).map(|number| entry(&format!("good{number}"), "good", true));
    let servers: Vec<Value> = good.chain(WAYS.map(|way| entry(way, way, false))).collect();
    let home = std::env::temp_dir().join(format!("mcpproxy-neighbours-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let config = json!({"mcpServers": servers, "api_key": KEY, "call_tool_timeout": "2s"});
    std::fs::write(home.join("mcp_config.json"), config.to_string()).unwrap();
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let target = Target {
        address: (Ipv4Addr::LOCALHOST, port).into(),
        path: "/mcp/all".to_owned(),
    };
    let mut command = Command::new(core);
    command
        .args(["serve", "--listen", &target.address.to_string()])
        .env("MCPPROXY_HOME", &home)
        .env("DO_NOT_TRACK", "1");
    command.env("MCPPROXY_DISABLE_AUTO_UPDATE", "true").env("MCPPROXY_KEYRING_WRITE", "0");
    let running = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait(&target).await.unwrap();
    let duration = Duration::from_secs_f64(seconds);
    measure(&target, duration).await.unwrap();

    println!("{:<28} {:>20} {:>20} {:>8}", "", "alone p50, p95 ms", "beside p50, p95 ms", "p95");
    for ways in WAYS.iter().map(std::slice::from_ref).chain([&WAYS[..]]) {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            alone.push(measure(&target, duration).await.unwrap());
            switch(&target, ways, true).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let stop = Arc::<AtomicBool>::default();
            let callers: Vec<_> =
                ways.iter().map(|way| tokio::spawn(call_for_ever(target.clone(), way, stop.clone()))).collect();
            beside.push(measure(&target, duration).await.unwrap());
            stop.store(true, Ordering::Relaxed);
            for caller in callers {
                caller.await.unwrap();
            }
            switch(&target, ways, false).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let middle = |mut turns: Vec<(f64, f64)>| {
            turns.sort_unstable_by(|one, other| one.1.total_cmp(&other.1));
            turns[turns.len() / 2]
        };
        let (alone, beside) = (middle(alone), middle(beside));
        let name = if ways.len() == 1 { ways[0] } else { "all five" };
        let change = (beside.1 / alone.1 - 1.0) * 100.0;
        println!("{name:<28} {:>11.3} {:>8.3} {:>11.3} {:>8.3} {change:>+7.0}%", alone.0, alone.1, beside.0, beside.1);
    }
    drop(running);
    let _ = std::fs::remove_dir_all(home);
}
