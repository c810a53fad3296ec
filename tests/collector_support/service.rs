//! Runs a collector as a separate process, and sends requests over plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub struct Collector {
    pub child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub data: PathBuf,
}

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mcpproxy-collector"))
}

impl Collector {
    /// Starts it on free ports, and waits until it listens.
    pub fn start(data: &Path, more: &[&str]) -> Collector {
        Collector::start_with(program(), data, more)
    }

    /// Starts it through a command that runs the program.
    pub fn start_with(mut program: Command, data: &Path, more: &[&str]) -> Collector {
        let mut child = program
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |before: &str| {
            let line = lines.next().expect("it says where it listens").unwrap();
            let (_, rest) = line.split_once("://").unwrap_or_else(|| panic!("{before}: {line}"));
            rest.split('/').next().unwrap().parse().unwrap()
        };
        let public = address("reports");
        let _ = address("page");
        let admin = address("operator");
        // Reads its further output, so that it does not block.
        std::thread::spawn(move || lines.for_each(drop));
        Collector {
            child,
            public,
            admin,
            data: data.to_path_buf(),
        }
    }

    /// Kills it, like a power failure.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it like systemd, and checks its exit status.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    pub fn report(&self, body: &str) -> Answer {
        post(self.public, "/v1/heartbeat", body, &[])
    }

    /// Returns the operator's `/v1/stats` with all figures.
    pub fn stats(&self) -> Value {
        get(self.admin, "/v1/stats?who=all").json()
    }
}

/// A ClickHouse server (chdb) for one test, which can be killed. `COLLECTOR_CHDB` names a Python with chdb.
pub struct ClickHouse {
    child: Child,
    python: PathBuf,
    directory: PathBuf,
    pub port: u16,
}

impl ClickHouse {
    #[allow(clippy::disallowed_methods, reason = "the environment names what a test needs")]
    #[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
    pub fn start(directory: &Path) -> Option<ClickHouse> {
        let Some(python) = std::env::var_os("COLLECTOR_CHDB").map(PathBuf::from) else {
            println!("COLLECTOR_CHDB is not set: not checked");
            return None;
        };
        let (child, port) = ClickHouse::process(&python, directory, 0);
        Some(ClickHouse {
            child,
            python,
            directory: directory.to_path_buf(),
            port,
        })
    }

    fn process(python: &Path, directory: &Path, port: u16) -> (Child, u16) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/collector/chdb_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(directory)
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim().parse().expect("ClickHouse says its port"))
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after `kill`, at the same port and with the same data.
    pub fn start_again(&mut self) {
        self.child = ClickHouse::process(&self.python, &self.directory, self.port).0;
    }

    pub fn address(&self, database: &str) -> String {
        format!("clickhouse://127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `is_so` returns true, for at most `seconds`.
pub fn until(seconds: u64, what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed().as_secs() < seconds, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn post(address: SocketAddr, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("Content-Type", "application/json")];
    all.extend(headers);
    request(address, "POST", path, Some(body), &all)
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, None, &[])
}

pub fn request(address: SocketAddr, method: &str, path: &str, body: Option<&str>, headers: &[(&str, &str)]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    raw(address, format!("{head}\r\n{}", body.unwrap_or_default()).as_bytes()).expect("an answer")
}

/// Sends raw bytes, and reads until the connection closes; returns `None` without a complete response.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server may refuse the request before reading all of it.
    let _ = stream.write_all(bytes);
    read_answer(&mut stream)
}

pub fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Returns a report of today with this ID, changed by `change`.
pub fn body(id: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::json!({
        "anonymous_id": id, "version": "0.5.0", "edition": "personal", "os": "linux", "arch": "amd64",
        "go_version": "rust1.95", "server_count": 2, "connected_server_count": 1, "tool_count": 7, "uptime_hours": 3,
        "schema_version": 3, "env_kind": "interactive", "launch_source": "tray",
        "env_markers": {"has_ci_env": false, "has_cloud_ide_env": false, "is_container": false, "has_tty": true, "has_display": true},
        "builtin_tool_calls": {"retrieve_tools": 4},
        "activation": {"first_connected_server_ever": true, "first_mcp_client_ever": true,
            "first_retrieve_tools_call_ever": false, "mcp_clients_seen_ever": ["codex"]},
    });
    change(&mut value);
    value.to_string()
}

pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
