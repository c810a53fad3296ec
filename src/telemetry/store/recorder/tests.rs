#![allow(clippy::indexing_slicing, reason = "a test should fail at the failing line")]

use super::*;

const SOON: Duration = Duration::from_secs(20);
const DAY: &str = "2026-01-02";

fn on(path: &Path) -> Recorder {
    let recorder = Recorder::new(path);
    recorder.switch_on(DAY).unwrap();
    recorder
}

#[test]
fn recorded_data_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let recorder = on(&path);
    recorder.server_connected();
    recorder.client_seen(Some("cursor"));
    recorder.client_seen(Some("/home/ann/agent"));
    recorder.retrieve_tools_called(1_000);
    recorder.tools_returned(40, 15, 1_000);
    recorder.installer_started_us();
    recorder.heartbeat_blocked();
    recorder.flush(SOON).unwrap();
    let before = recorder.memory();
    recorder.close(SOON);
    assert_eq!(recorder.memory(), None);
    let again = on(&path);
    assert_eq!(again.memory(), before);
    let activation = again.activation(1_001);
    assert_eq!(activation.mcp_clients_seen_ever, ["cursor", "unknown"]);
    assert_eq!(activation.retrieve_tools_calls_24h, 1);
}

#[test]
fn a_hundred_concurrent_calls_count_a_hundred() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = on(&directory.path().join("state.redb"));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| recorder.retrieve_tools_called(1_000));
        }
    });
    assert_eq!(recorder.activation(1_000).retrieve_tools_calls_24h, 100);
    recorder.close(SOON);
    let again = on(&directory.path().join("state.redb"));
    assert_eq!(again.activation(1_000).retrieve_tools_calls_24h, 100);
}

#[test]
fn while_off_nothing_is_recorded_and_no_file_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root/state.redb");
    let recorder = Recorder::new(&path);
    recorder.server_connected();
    recorder.client_seen(Some("cursor"));
    recorder.retrieve_tools_called(1);
    recorder.installer_started_us();
    assert_eq!(recorder.activation(1), Activation::default());
    recorder.flush(SOON).unwrap();
    assert!(!directory.path().join("root").exists());
    recorder.switch_on(DAY).unwrap();
    assert_eq!(recorder.memory(), Some(Memory::default()));
}

#[test]
fn changes_after_switching_off_are_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let recorder = on(&path);
    recorder.server_connected();
    recorder.close(SOON);
    recorder.retrieve_tools_called(1);
    recorder.switch_on(DAY).unwrap();
    let activation = recorder.activation(1);
    assert!(activation.first_connected_server_ever && !activation.first_retrieve_tools_call_ever);
}

#[test]
fn switching_off_and_on_again_keeps_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = on(&directory.path().join("state.redb"));
    for now in 1..20 {
        recorder.retrieve_tools_called(now);
        recorder.switch_off();
        recorder.switch_on(DAY).unwrap();
        recorder.server_connected();
        recorder.flush(SOON).unwrap();
    }
}

#[test]
fn the_installers_mark_survives_restarts_until_accepted_and_never_returns() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let reported = |recorder: &Recorder, source| recorder.memory().unwrap().launch_source(source);
    let first = on(&path);
    first.installer_started_us();
    first.close(SOON);
    let second = on(&path);
    assert_eq!(reported(&second, LaunchSource::Tray), LaunchSource::Installer);
    second.heartbeat_accepted(LaunchSource::Installer, 5_000);
    assert_eq!(reported(&second, LaunchSource::Installer), LaunchSource::Tray);
    second.close(SOON);
    let third = on(&path);
    third.installer_started_us();
    assert_eq!(reported(&third, LaunchSource::Installer), LaunchSource::Tray);
    assert_eq!(third.memory().unwrap().last_accepted, 5_000);
}

#[test]
fn a_corrupt_store_is_set_aside_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let recorder = on(&path);
    recorder.server_connected();
    recorder.close(SOON);
    let good = std::fs::read(&path).unwrap();
    let mut cases: Vec<Vec<u8>> = vec![vec![0; 4096], b"not a store at all".to_vec(), vec![0xff; 100_000]];
    cases.push(good[..good.len() / 2].to_vec());
    cases.push(good[..100].to_vec());
    cases.push([vec![0; 4096], good[4096..].to_vec()].concat());
    for (number, bytes) in cases.iter().enumerate() {
        std::fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, bytes)).unwrap();
        let recorder = Recorder::new(&path);
        let aside = recorder.switch_on(DAY).unwrap_or_else(|error| panic!("case {number}: {error}"));
        let aside = aside.unwrap_or_else(|| panic!("case {number} was not set aside"));
        assert_eq!(&std::fs::read(&aside).unwrap(), bytes, "case {number}");
        recorder.client_seen(None);
        recorder.flush(SOON).unwrap();
        recorder.close(SOON);
    }
    let kept = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(kept, cases.len() + 1, "each under a name of its own");
}

#[test]
fn a_flipped_bit_never_takes_the_core_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let recorder = on(&path);
    recorder.server_connected();
    recorder.client_seen(Some("cursor"));
    recorder.close(SOON);
    let good = std::fs::read(&path).unwrap();
    for position in (0..good.len()).step_by((good.len() / 60).max(1)).chain(0..64) {
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (position % 8);
        std::fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, &bytes)).unwrap();
        let recorder = Recorder::new(&path);
        let _ = recorder.switch_on(DAY);
        recorder.retrieve_tools_called(1);
        let _ = recorder.flush(SOON);
        assert_eq!(recorder.activation(1).retrieve_tools_calls_24h, 1);
        recorder.close(SOON);
    }
}

#[test]
fn a_store_in_use_by_another_process_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let first = on(&path);
    first.server_connected();
    first.flush(SOON).unwrap();
    let second = Recorder::new(&path);
    assert!(matches!(second.switch_on(DAY), Err(RememberError::Open(OpenError::InUse(_)))));
    second.client_seen(Some("cursor"));
    assert!(second.activation(0).first_mcp_client_ever, "it goes on in memory");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn the_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root/state.redb");
    on(&path).close(SOON);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}
