//! The bytes that a collector on loopback receives, and protection from misbehaving collectors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mcpproxy::telemetry::collector::Collector;
use mcpproxy::telemetry::payload::{HeartbeatPayload, Snapshot};
use mcpproxy::telemetry::scan::identity::Identity;
use mcpproxy::telemetry::scan::{Clean, scan};
use mcpproxy::telemetry::send_heartbeat::{LIMIT, SendError, send_heartbeat};

fn send(to: &Collector) -> Result<(), SendError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(send_heartbeat(to, &clean()))
}

fn clean() -> Clean {
    scan(&HeartbeatPayload::of(&Snapshot::example()), &Identity::default()).unwrap()
}

/// Reads one request: its head, and its body with the announced length.
fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).unwrap();
        bytes.extend_from_slice(chunk.get(..read).unwrap());
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes.get(..at).unwrap().to_vec()).unwrap().to_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap().trim().parse().unwrap();
        if bytes.len() >= at + 4 + length {
            return (head, bytes.split_off(at + 4));
        }
    }
}

/// Starts a collector that answers every request with `answer`; returns its address and its requests.
fn collector(answer: fn(&mut TcpStream)) -> (Collector, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = sender.send(request(&mut stream));
            answer(&mut stream);
        }
    });
    (Collector::parse(&format!("http://{address}/v1")).unwrap(), requests)
}

fn status(stream: &mut TcpStream, line: &str) {
    let _ = write!(stream, "HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

#[test]
fn the_bytes_received_are_the_bytes_that_were_cleared() {
    let (to, requests) = collector(|stream| status(stream, "204 No Content"));
    send(&to).unwrap();
    let (head, body) = requests.recv().unwrap();
    assert_eq!(body, clean().bytes());
    assert!(head.starts_with("post /v1/heartbeat http/1.1"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
}

#[test]
fn an_error_answer_is_no_acceptance() {
    let (to, _requests) = collector(|stream| status(stream, "500 Internal Server Error"));
    assert!(matches!(send(&to), Err(SendError::Refused(500))));
}

#[test]
fn a_redirect_is_not_followed() {
    static ELSEWHERE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let (other, other_requests) = collector(|stream| status(stream, "204 No Content"));
    ELSEWHERE.set(other.heartbeat_url().as_str().to_owned()).unwrap();
    let (to, _requests) = collector(|stream| {
        let elsewhere = ELSEWHERE.get().unwrap();
        let _ = write!(stream, "HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
    });
    assert!(matches!(send(&to), Err(SendError::Refused(307))));
    assert!(other_requests.recv_timeout(Duration::from_millis(300)).is_err());
}

#[test]
fn an_endless_answer_is_not_read() {
    let (to, _requests) = collector(|stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n");
        let block = vec![b'x'; 1 << 16];
        for _ in 0..(1 << 14) {
            if stream.write_all(&block).is_err() {
                break;
            }
        }
    });
    let start = Instant::now();
    send(&to).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_collector_that_hangs_costs_ten_seconds() {
    let (to, _requests) = collector(|_| thread::sleep(Duration::from_secs(60)));
    let start = Instant::now();
    assert!(matches!(send(&to), Err(SendError::Unreachable(_))));
    assert!(start.elapsed() < LIMIT + Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_collector_that_is_not_there_is_an_error_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = Collector::parse(&format!("http://{address}")).unwrap();
    assert!(matches!(send(&to), Err(SendError::Unreachable(_))));
}

#[test]
fn a_collector_without_the_tls_it_promised_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = Collector::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 64];
        let length = stream.read(&mut bytes).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        bytes.truncate(length);
        bytes
    });
    assert!(matches!(send(&to), Err(SendError::Unreachable(_))));
    assert!(!heard.join().unwrap().starts_with(b"POST"));
}
