use semver::Version;

use super::*;
use crate::contract::names;

const CHILD: Core = Core {
    pid: Some(7),
    whose: Whose::Foreign,
    can_shut_down: true,
    older: false,
};

/// A supervisor and the clock it lives by.
struct Life {
    supervisor: Supervisor,
    now: Duration,
}

impl Life {
    fn new(may_start: bool) -> Life {
        let mut life = Life {
            supervisor: Supervisor::new(may_start, true),
            now: Duration::ZERO,
        };
        assert_eq!(life.on(Event::Begin), [Effect::Probe]);
        life
    }

    fn on(&mut self, event: Event) -> Vec<Effect> {
        let (supervisor, effects) = step(self.supervisor.clone(), event, self.now);
        self.supervisor = supervisor;
        effects
    }

    fn after(&mut self, seconds: u64, event: Event) -> Vec<Effect> {
        self.now += Duration::from_secs(seconds);
        self.on(event)
    }

    /// A life whose core, process 7, is our child and serves.
    fn serving() -> Life {
        let mut life = Life::new(true);
        assert_eq!(life.on(not_running()), [Effect::Spawn { first: true }]);
        life.on(Event::Spawned { pid: 7 });
        assert_eq!(life.on(ready(CHILD)), [Effect::Follow]);
        life
    }

    fn attached(launched_by: &str) -> Life {
        let mut life = Life::new(true);
        let info = serde_json::json!({"pid": 7, "launched_by": launched_by});
        let core = Core::from_info(&serde_json::from_value(info).unwrap(), None);
        assert_eq!(life.on(ready(core)), [Effect::Follow]);
        life
    }
}

fn ready(core: Core) -> Event {
    Event::Probed(Probe::Ready(core))
}

fn not_running() -> Event {
    Event::Probed(Probe::NotRunning)
}

fn silent() -> Event {
    Event::Probed(Probe::Silent("not ready".into()))
}

fn exited(code: i32) -> Event {
    Event::Exited {
        pid: 7,
        code: Some(code),
        stderr: "error: it broke".into(),
    }
}

fn wake_after(effects: &[Effect]) -> Duration {
    let mut pauses = effects.iter().filter_map(|effect| match effect {
        Effect::WakeAfter(pause) => Some(*pause),
        _ => None,
    });
    pauses.next().unwrap()
}

#[test]
fn a_running_core_is_joined_and_a_silent_one_is_not_doubled() {
    Life::attached("");
    let mut life = Life::new(true);
    for _ in 0..59 {
        assert!(matches!(life.after(1, silent())[..], [Effect::WakeAfter(_)]));
        assert_eq!(life.on(Event::Wake), [Effect::Probe]);
    }
    assert_eq!(life.after(1, silent()), []);
    assert!(matches!(life.supervisor.state, State::Failed(_)));
}

#[test]
fn our_child_is_known_by_its_process_id() {
    let life = Life::serving();
    assert!(matches!(
        life.supervisor.state,
        State::Running(Core {
            whose: Whose::Child,
            ..
        })
    ));
}

#[test]
fn crashes_are_retried_with_growing_pauses_until_the_fifth_in_two_minutes() {
    let mut life = Life::serving();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        pauses.push(wake_after(&life.on(exited(1))).as_secs());
        assert_eq!(life.after(1, Event::Wake), [Effect::Probe]);
        assert_eq!(life.on(not_running()), [Effect::Spawn { first: false }]);
        life.on(Event::Spawned { pid: 7 });
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
    assert_eq!(life.on(exited(101)), []);
    let State::Failed(failure) = &life.supervisor.state else {
        panic!("{:?}", life.supervisor)
    };
    assert_eq!(failure.sentence(), "The core keeps crashing: it broke");
    assert_eq!(life.on(Event::Asked(Ask::Start)), [Effect::Probe], "a person may try again");
}

#[test]
fn crashes_that_are_far_apart_do_not_add_up() {
    let mut life = Life::serving();
    for _ in 0..20 {
        assert_eq!(wake_after(&life.after(121, exited(1))), Duration::from_secs(1));
        life.on(Event::Wake);
        life.on(not_running());
        life.on(Event::Spawned { pid: 7 });
        life.on(ready(CHILD));
    }
}

#[test]
fn a_failure_that_the_user_must_fix_is_not_retried() {
    for code in [2, 3, 4, 5] {
        let mut life = Life::new(true);
        life.on(not_running());
        life.on(Event::Spawned { pid: 7 });
        assert_eq!(life.on(exited(code)), [], "{code}");
        assert!(matches!(life.supervisor.state, State::Failed(_)), "{code}");
        assert_eq!(life.on(Event::Wake), [], "{code}");
    }
}

#[test]
fn stop_asks_then_terminates_then_kills() {
    let mut life = Life::serving();
    let secs = |s| Effect::WakeAfter(Duration::from_secs(s));
    assert_eq!(life.on(Event::Asked(Ask::Stop)), [Effect::AskToEnd { pid: 7, by_call: true }, secs(5)]);
    assert_eq!(life.on(Event::Wake), [Effect::Terminate { pid: 7 }, secs(3)]);
    assert_eq!(life.on(Event::Wake), [Effect::KillTree { pid: 7 }, secs(2)]);
    assert_eq!(life.on(exited(0)), []);
    assert_eq!(life.supervisor.state, State::Stopped);
    assert_eq!(life.on(Event::StreamEnded), [], "and it stays so");
}

#[test]
fn restart_starts_again_only_after_the_end() {
    let mut life = Life::serving();
    life.on(Event::Asked(Ask::Restart));
    assert_eq!(life.on(exited(0)), [Effect::Probe]);
    assert_eq!(life.on(not_running()), [Effect::Spawn { first: false }]);
}

#[test]
fn quit_stops_our_core_and_leaves_anothers() {
    let mut ours = Life::serving();
    ours.on(Event::Asked(Ask::Leave));
    assert_eq!(ours.on(exited(0)), [Effect::Leave]);
    assert_eq!(Life::attached("").on(Event::Asked(Ask::Leave)), [Effect::Leave]);
    let mut adopted = Life::attached("tray");
    let effects = adopted.on(Event::Asked(Ask::Leave));
    assert!(effects.contains(&Effect::AwaitEnd { pid: 7 }), "{effects:?}");
}

#[test]
fn a_foreign_core_is_neither_stopped_nor_replaced() {
    let mut life = Life::attached("");
    assert_eq!(life.on(Event::Asked(Ask::Stop)), []);
    life.on(Event::StreamEnded);
    life.on(not_running());
    let effects = life.after(2, not_running());
    assert!(matches!(effects[..], [Effect::WakeAfter(_)]), "{effects:?}");
    assert!(matches!(life.supervisor.state, State::Absent { .. }));
    assert_eq!(life.on(Event::Wake), [Effect::Probe]);
    assert_eq!(life.on(ready(CHILD)), [Effect::Follow], "and it is found again");
}

#[test]
fn an_adopted_core_that_dies_is_replaced() {
    let mut life = Life::attached("tray");
    life.on(Event::StreamEnded);
    assert_eq!(life.after(2, not_running()), [Effect::Spawn { first: true }]);
}

#[test]
fn once_the_session_ends_nothing_is_started() {
    let mut life = Life::serving();
    let effects = life.on(Event::Asked(Ask::SessionEnds));
    assert!(wake_after(&effects) < Duration::from_secs(2));
    assert_eq!(life.on(Event::Asked(Ask::Start)), []);
    assert_eq!(life.on(Event::Asked(Ask::Restart)), []);
    assert_eq!(life.on(exited(143)), [Effect::Leave]);
    for event in [
        Event::Wake,
        not_running(),
        Event::StreamEnded,
        exited(1),
        Event::Asked(Ask::Start),
    ] {
        assert_eq!(life.on(event), []);
    }
}

#[test]
fn attach_only_never_starts_one() {
    let mut life = Life::new(false);
    assert!(matches!(life.on(not_running())[..], [Effect::WakeAfter(_)]));
    assert_eq!(life.on(Event::Wake), [Effect::Probe]);
    assert!(matches!(life.on(not_running())[..], [Effect::WakeAfter(_)]));
}

/// A core with this version and launch source, next to a tray that bundles 1.2.0.
fn versioned(version: &str, launched_by: &str) -> Core {
    let info = serde_json::json!({"pid": 7, "launched_by": launched_by, "version": version,
        "implementation": names::IMPLEMENTATION});
    Core::from_info(&serde_json::from_value(info).unwrap(), Some(&Version::new(1, 2, 0)))
}

#[test]
fn only_an_older_core_of_ours_is_called_older() {
    for (version, older) in [
        ("1.1.9", true),
        ("v1.2.0-rc1", true),
        ("1.2.0", false),
        ("1.10.0", false),
        ("dev", false),
    ] {
        assert_eq!(versioned(version, "tray").older, older, "{version}");
    }
    let go = serde_json::json!({"version": "v0.1.0", "launched_by": "tray", "pid": 7});
    assert!(!Core::from_info(&serde_json::from_value(go).unwrap(), Some(&Version::new(1, 2, 0))).older);
}

#[test]
fn an_older_core_that_a_tray_started_is_replaced_once() {
    let mut life = Life::new(true);
    let effects = life.on(ready(versioned("1.1.0", "tray")));
    assert!(matches!(effects[..], [Effect::AskToEnd { pid: 7, .. }, _, Effect::AwaitEnd { pid: 7 }]), "{effects:?}");
    assert_eq!(life.on(exited(0)), [Effect::Probe]);
    assert_eq!(
        life.on(ready(versioned("1.1.0", "tray"))),
        [Effect::Follow],
        "another program keeps starting it, so the tray does not replace it again"
    );
}

#[test]
fn the_exit_of_the_previous_core_is_not_a_crash_of_the_next() {
    let mut life = Life::serving();
    life.on(Event::Asked(Ask::Restart));
    life.on(exited(0));
    assert_eq!(life.on(not_running()), [Effect::Spawn { first: false }]);
    assert_eq!(life.on(exited(0)), [], "both the system and the socket report it");
    assert!(matches!(life.supervisor.state, State::Starting { .. }), "{:?}", life.supervisor);
}

#[test]
fn an_older_core_that_the_user_started_is_replaced_only_by_a_click() {
    let mut life = Life::new(true);
    assert_eq!(life.on(ready(versioned("1.1.0", ""))), [Effect::Follow]);
    let effects = life.on(Event::Asked(Ask::Replace));
    assert!(effects.contains(&Effect::AwaitEnd { pid: 7 }), "{effects:?}");
    life.on(exited(0));
    assert_eq!(life.on(not_running()), [Effect::Spawn { first: true }]);
    let mut current = Life::new(true);
    current.on(ready(versioned("1.2.0", "")));
    assert_eq!(current.on(Event::Asked(Ask::Replace)), [], "only an older one");
}

#[test]
fn a_new_version_of_the_tray_finds_the_core_running() {
    assert_eq!(Life::serving().on(Event::Asked(Ask::Hand)), [Effect::Leave]);
}

#[test]
fn without_automatic_start_a_click_starts_the_core() {
    let mut life = Life::new(true);
    life.supervisor = Supervisor::new(true, false);
    life.on(Event::Begin);
    assert!(matches!(life.on(not_running())[..], [Effect::WakeAfter(_)]), "and looked for meanwhile");
    assert_eq!(life.on(Event::Asked(Ask::Start)), [Effect::Probe]);
    assert_eq!(life.on(not_running()), [Effect::Spawn { first: true }]);
}

#[test]
fn after_a_sleep_the_core_is_probed_and_every_deadline_restarts() {
    let mut running = Life::serving();
    assert_eq!(running.on(Event::Woke), [Effect::Probe]);
    assert_eq!(running.on(ready(CHILD)), [Effect::Follow]);
    let mut starting = Life::new(true);
    starting.on(not_running());
    starting.on(Event::Spawned { pid: 7 });
    starting.after(3600, Event::Woke);
    assert!(matches!(starting.on(silent())[..], [Effect::WakeAfter(_)]), "an hour asleep does not count");
    let mut pausing = Life::serving();
    pausing.on(exited(1));
    assert_eq!(pausing.on(Event::Woke), [Effect::Probe], "a pause from before the sleep is cut short");
}

#[test]
fn no_event_in_no_state_starts_two_cores_or_leaves_a_ladder_half_way() {
    let events = || {
        let mut all = vec![
            Event::Begin,
            ready(CHILD),
            not_running(),
            silent(),
            Event::Wake,
            Event::Woke,
            Event::StreamEnded,
        ];
        all.extend([exited(0), exited(1), exited(4), Event::Spawned { pid: 7 }]);
        all.push(Event::SpawnFailed(Failure::no_program(String::new())));
        all.extend(
            [
                Ask::Start,
                Ask::Stop,
                Ask::Restart,
                Ask::Replace,
                Ask::Leave,
                Ask::SessionEnds,
            ]
            .map(Event::Asked),
        );
        all
    };
    let mut seen = vec![
        Supervisor::new(true, true),
        Supervisor::new(true, false),
        Supervisor::new(false, true),
    ];
    let mut at = 0;
    while at < seen.len() && seen.len() < 3000 {
        for event in events() {
            let (next, effects) = step(seen[at].clone(), event, Duration::from_secs(1));
            let spawns = effects.iter().filter(|effect| matches!(effect, Effect::Spawn { .. })).count();
            assert!(spawns == 0 || (spawns == 1 && matches!(next.state, State::Starting { pid: None, .. })));
            if matches!(next.state, State::Stopping { .. }) && next.state != seen[at].state {
                let moved = !matches!(seen[at].state, State::Stopping { .. });
                assert!(!moved || effects.iter().any(|effect| matches!(effect, Effect::WakeAfter(_))), "{next:?}");
            }
            if !seen.contains(&next) {
                seen.push(next);
            }
        }
        at += 1;
    }
}
