//! `kill -9` under 500 reports a second, of the collector and of its database: every report that was answered with 204 is
//! counted, once, and no other.

#![cfg(all(feature = "collector", unix))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "collector_support/service.rs"]
mod service;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcpproxy::collector::audience::Audience;
use mcpproxy::collector::report::Id;
use mcpproxy::collector::stats;
use mcpproxy::collector::store::Store;
use mcpproxy::collector::store::clickhouse::{ClickHouseAddress, ClickHouseStore};
use mcpproxy::collector::store::sqlite::SqliteStore;
use service::{ClickHouse, Collector, body, get, new_id, until};

/// IDs of reports that were answered with 204, and of reports without a response, which may or may not be stored.
#[derive(Default)]
struct Sent {
    accepted: BTreeSet<String>,
    unanswered: BTreeSet<String>,
}

#[test]
fn ten_kills_lose_and_duplicate_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let sent = ten_kills(directory.path(), &[]);
    let mut store = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    check(&mut store, &sent);
    assert_eq!(store.verify().unwrap().1, 0);
}

#[test]
fn ten_kills_lose_and_duplicate_nothing_in_clickhouse() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = ClickHouse::start(&directory.path().join("clickhouse")) else {
        return;
    };
    let address = server.address("killed");
    let sent = ten_kills(directory.path(), &["--store", &address]);
    check(&mut opened(&address), &sent);
}

/// The database is killed while the collector runs: reports are refused meanwhile, and the collector continues afterwards.
#[test]
fn five_kills_of_clickhouse_lose_and_duplicate_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut server) = ClickHouse::start(&directory.path().join("clickhouse")) else {
        return;
    };
    let address = server.address("killed");
    let mut collector = Collector::start(directory.path(), &["--store", &address]);
    let sent = Arc::new(Mutex::new(Sent::default()));
    let is_ready = |collector: &Collector| get(collector.admin, "/readyz").status == 200;
    senders(collector.public, &sent, || {
        for _ in 0..5 {
            accept(&sent, 100);
            server.kill();
            until(60, "the collector says that it cannot store", || !is_ready(&collector));
            let id = new_id();
            let refused = collector.report(&body(&id, |_| {}));
            assert_eq!(refused.status, 503, "{refused:?}");
            server.start_again();
            until(60, "the collector is ready without a restart", || is_ready(&collector));
        }
        accept(&sent, 100);
    });
    collector.stop();
    check(&mut opened(&address), &sent.lock().unwrap());
}

fn opened(address: &str) -> ClickHouseStore {
    ClickHouseStore::open(&ClickHouseAddress::parse(address).unwrap(), "test").unwrap()
}

/// Kills the collector ten times under load, and returns what was sent.
fn ten_kills(data: &Path, more: &[&str]) -> Sent {
    let sent = Arc::new(Mutex::new(Sent::default()));
    for _ in 0..10 {
        let mut collector = Collector::start(data, more);
        let (child, public) = (&mut collector.child, collector.public);
        senders(public, &sent, || {
            accept(&sent, 250);
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }
    let mut collector = Collector::start(data, more);
    collector.stop();
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    assert!(sent.accepted.len() >= 2500, "only {} reports were accepted", sent.accepted.len());
    sent
}

/// Five senders of a hundred reports a second, until `meanwhile` has returned.
fn senders(address: SocketAddr, sent: &Arc<Mutex<Sent>>, meanwhile: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(sent));
            std::thread::spawn(move || send(address, &stop, &sent, Duration::from_millis(10)))
        })
        .collect();
    meanwhile();
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Waits until `more` further reports were accepted.
fn accept(sent: &Mutex<Sent>, more: usize) {
    let enough = sent.lock().unwrap().accepted.len() + more;
    until(60, "reports are accepted", || sent.lock().unwrap().accepted.len() >= enough);
}

/// Checks that every accepted report is stored once, and no other except those without an answer.
fn check(store: &mut dyn Store, sent: &Sent) {
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
    assert!(stored.difference(&accepted).all(|id| unanswered.contains(id)), "a report is there that was refused");
    let figures = stats::take(store, None).unwrap().to_json(Audience::EVERYTHING);
    assert_eq!(figures["installs"], stored.len());
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
            Ok(length) if length > 0 => {
                // The rest of this answer must not be read as the next one.
                let Ok(again) = TcpStream::connect(address) else { return };
                stream = again;
            }
            _ => {
                sent.unanswered.insert(id);
                return;
            }
        }
    }
}
