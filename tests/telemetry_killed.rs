//! A process killed during a write loses at most its latest changes: flags are never reset, and the store can be opened
//! again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mcpproxy::os::environment::Environment;
use mcpproxy::telemetry::store::recorder::Recorder;

const PATH: &str = "MCPPROXY_TEST_STORE";
const TODAY: &str = "2026-01-02";

/// Not a test but the child process of the test below, which runs and kills it: writes records without end.
#[test]
#[ignore = "not a test of its own: the other test in this file starts it as a child process"]
fn writer() {
    let variables = Environment::read(|name| name == PATH);
    let recorder = Recorder::new(Path::new(variables.get(PATH).unwrap()));
    recorder.switch_on(TODAY).unwrap();
    recorder.server_connected();
    recorder.flush(Duration::from_secs(10)).unwrap();
    for now in 1.. {
        recorder.retrieve_tools_called(now);
        recorder.client_seen(Some(&format!("client-{now}")));
        recorder.flush(Duration::from_secs(10)).unwrap();
    }
}

fn run_and_kill(path: &PathBuf, after: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "writer"])
        .env(PATH, path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_in_the_middle_of_writing_the_store_opens_and_no_flag_turns_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let mut calls = 0;
    let mut connected = false;
    for round in 0..12_u64 {
        run_and_kill(&path, Duration::from_millis(60 + 17 * round));
        let recorder = Recorder::new(&path);
        assert_eq!(recorder.switch_on(TODAY).unwrap(), None, "set aside in round {round}");
        let activation = recorder.activation(1);
        assert!(activation.first_connected_server_ever || !connected, "the flag turned back in round {round}");
        assert!(activation.retrieve_tools_calls_24h >= calls, "counts were lost in round {round}");
        connected = activation.first_connected_server_ever;
        calls = activation.retrieve_tools_calls_24h;
        recorder.close(Duration::from_secs(10));
    }
    assert!(connected && calls > 0, "the writer never came to write");
}
