//! A full disk and a locked database: the collector answers 503, keeps all accepted reports, and recovers without a restart.

#![cfg(all(feature = "collector", target_os = "linux"))]
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
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mcpproxy::collector::report::Id;
use mcpproxy::collector::store::Store;
use mcpproxy::collector::store::sqlite::SqliteStore;
use service::{Collector, body, get, new_id, until};

/// A small file system in memory, mounted in its own namespace until this value is dropped.
struct Disk {
    holder: Child,
    as_user: bool,
    at: PathBuf,
}

impl Disk {
    /// `None` if this system does not allow the mount, neither as root nor in a user namespace.
    fn mount(at: &Path, megabytes: u32) -> Option<Disk> {
        [false, true].into_iter().find_map(|as_user| {
            let mut holder = Command::new("unshare")
                .args(if as_user { ["--user", "--map-root-user"].as_slice() } else { &[] })
                .args(["--mount", "sh", "-c"])
                .arg("mount -t tmpfs -o size=$1m none \"$2\" && echo ready && exec cat")
                .args(["sh", &megabytes.to_string()])
                .arg(at)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .ok()?;
            let mut line = String::new();
            BufReader::new(holder.stdout.as_mut()?).read_line(&mut line).ok()?;
            let disk = Disk {
                holder,
                as_user,
                at: at.to_path_buf(),
            };
            (line == "ready\n").then_some(disk)
        })
    }

    /// Starts the collector inside the namespace.
    fn collector(&self, more: &[&str]) -> Collector {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string()).arg("--mount");
        if self.as_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(env!("CARGO_BIN_EXE_mcpproxy-collector"));
        Collector::start_with(command, &self.at, more)
    }

    /// The mount point, seen from this process.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.at.display()))
    }

    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.path().join("filler")).unwrap();
        while file.write(&[7; 4096]).is_ok_and(|written| written == 4096) {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Sends a report with a new ID, and adds the ID to `accepted` on 204. Returns the status.
fn send(collector: &Collector, accepted: &mut BTreeSet<Id>) -> u16 {
    let id = new_id();
    let status = collector.report(&body(&id, |_| {})).status;
    if status == 204 {
        accepted.insert(Id::from_uuid(&id).unwrap());
    }
    status
}

fn is_ready(collector: &Collector) -> bool {
    get(collector.admin, "/readyz").status == 200
}

#[test]
fn a_full_disk_is_answered_with_503_loses_nothing_and_needs_no_restart() {
    full_disk(&[]);
}

/// With a backlog, the journal may grow while the database fails, until it has no room either.
#[test]
fn a_full_disk_stops_the_journal_too() {
    full_disk(&["--backlog", "64"]);
}

#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn full_disk(options: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(directory.path(), 16) else {
        println!("this system mounts no file system for a test: not checked");
        return;
    };
    let mut collector = disk.collector(options);
    let mut accepted = BTreeSet::new();
    let all_accepted = |collector: &Collector, accepted: &mut BTreeSet<Id>| {
        (0..50).for_each(|_| assert_eq!(send(collector, accepted), 204));
    };
    all_accepted(&collector, &mut accepted);
    for round in 0..3 {
        disk.fill();
        let mut refused = 0;
        until(120, "a full disk is noticed", || {
            // Allocated database pages may still have free space.
            disk.fill();
            refused = if send(&collector, &mut accepted) == 503 { refused + 1 } else { 0 };
            refused == 100
        });
        assert!(!is_ready(&collector));
        if round == 2 {
            collector.kill();
            disk.make_room();
            collector = disk.collector(options);
        } else {
            disk.make_room();
            // No report is sent meanwhile, as behind a load balancer that checks `/readyz`.
            until(30, "it is ready without a restart", || is_ready(&collector));
        }
        all_accepted(&collector, &mut accepted);
        let expected = accepted.len();
        until(30, "the figures have every accepted report", || collector.stats()["installs"] == expected);
    }
    collector.stop();
    // SQLite resolves the link in `/proc`, which leads out of the namespace, so it reads a copy.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(disk.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let mut store = SqliteStore::open(&copy.path().join("collector.db"), 8).unwrap();
    let mut stored = BTreeSet::new();
    store.ids(&mut |id| assert!(stored.insert(id))).unwrap();
    assert_eq!(stored, accepted, "a report counts if and only if it was answered with 204");
    assert_eq!(store.verify().unwrap().1, 0);
}

#[test]
fn a_database_that_is_held_is_answered_with_503_and_needs_no_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(directory.path(), &[]);
    let mut accepted = BTreeSet::new();
    assert_eq!(send(&collector, &mut accepted), 204);
    until(30, "the report is counted", || collector.stats()["installs"] == 1);
    // The collector waits ten seconds for the lock before it reports a failure.
    let blocker = rusqlite::Connection::open(directory.path().join("collector.db")).unwrap();
    blocker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    until(60, "the database counts as down", || send(&collector, &mut accepted) == 503);
    assert!(!is_ready(&collector));
    blocker.execute_batch("ROLLBACK").unwrap();
    drop(blocker);
    until(30, "it is ready without a restart", || is_ready(&collector));
    assert_eq!(send(&collector, &mut accepted), 204);
    let expected = accepted.len();
    until(30, "the figures have every accepted report", || collector.stats()["installs"] == expected);
    collector.stop();
    let mut store = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    let mut stored = BTreeSet::new();
    store.ids(&mut |id| assert!(stored.insert(id))).unwrap();
    assert_eq!(stored, accepted);
}
