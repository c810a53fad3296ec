//! Ten `kill -9` at 500 reports a second: every report that was answered with 204 is counted once, and no refused one
//! is.

#![cfg(all(feature = "collector", unix))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should fail where it stands"
)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "collector_support/service.rs"]
mod service;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcpproxy::collector::report::Id;
use mcpproxy::collector::store::Store;
use mcpproxy::collector::store::sqlite::SqliteStore;
use service::{Collector, body, new_id};

/// IDs of reports that were answered with 204, and of reports without a response, which may or may not be stored.
#[derive(Default)]
struct Sent {
    accepted: BTreeSet<String>,
    unanswered: BTreeSet<String>,
}

#[test]
fn ten_kills_lose_and_duplicate_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Sent::default()));
    for _ in 0..10 {
        let mut collector = Collector::start(directory.path(), &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..5)
            .map(|_| {
                let (address, stop, sent) = (collector.public, Arc::clone(&stop), Arc::clone(&sent));
                // Five senders with a hundred reports a second each.
                std::thread::spawn(move || send(address, &stop, &sent, Duration::from_millis(10)))
            })
            .collect();
        let enough = sent.lock().unwrap().accepted.len() + 250;
        let began = Instant::now();
        while sent.lock().unwrap().accepted.len() < enough && began.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        collector.kill();
        stop.store(true, Ordering::Relaxed);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }
    let mut collector = Collector::start(directory.path(), &[]);
    collector.stop();
    let sent = sent.lock().unwrap();
    assert!(sent.accepted.len() >= 2500, "only {} reports were accepted", sent.accepted.len());
    let mut store = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    let mut stored = BTreeSet::new();
    store
        .export(&mut |id, stored_of_id| {
            assert_eq!(stored_of_id.bodies.len(), 1);
            assert!(stored_of_id.bodies.iter().all(|body| body.repeats() == 0));
            stored.insert(id);
            Ok(())
        })
        .unwrap();
    let ids =
        |texts: &BTreeSet<String>| -> BTreeSet<Id> { texts.iter().map(|text| Id::from_uuid(text).unwrap()).collect() };
    let (accepted, unanswered) = (ids(&sent.accepted), ids(&sent.unanswered));
    assert_eq!(accepted.difference(&stored).count(), 0, "an accepted report is lost");
    assert!(stored.difference(&accepted).all(|id| unanswered.contains(id)), "a refused report is stored");
    assert_eq!(store.verify().unwrap().1, 0);
}

/// Sends at a fixed rate over one connection, until it breaks or `stop` is set.
fn send(address: SocketAddr, stop: &AtomicBool, sent: &Mutex<Sent>, pace: Duration) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let began = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let due = began + pace * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let id = new_id();
        let text = body(&id, |_| {});
        let request = format!(
            "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let mut answer = [0_u8; 4096];
        let answered = stream.write_all(request.as_bytes()).and_then(|()| stream.read(&mut answer));
        let mut sent = sent.lock().unwrap();
        match answered {
            Ok(length) if answer.get(..length).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 204")) => {
                sent.accepted.insert(id);
            }
            Ok(length) if length > 0 => {}
            _ => {
                sent.unanswered.insert(id);
                return;
            }
        }
    }
}
