//! The lifecycle journal: who requested each start and stop, as one JSON object per line. `write_journal` writes it.
//!
//! Kinds and reasons match the Go core's macOS app, which writes the same file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::supervisor::{Ask, Event, State};
use crate::contract::launch::TrayStart;

/// Number of lines to keep.
pub const MOST_LINES: usize = 500;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub kind: Kind,
    /// The cause, for people to read.
    pub reason: String,
    pub at: Timestamp,
    /// Whole seconds since this tray started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// The process that the entry is about.
    pub pid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    AppLaunched,
    AppTerminating,
    CoreLaunched,
    /// The core exited on request.
    CoreTerminated,
    /// The core exited without a request.
    CoreExited,
}

/// The reason for this tray's start.
pub fn start_reason(start: TrayStart, after_unclean_end: bool) -> String {
    let by = match start {
        TrayStart::Login => "the system at login",
        TrayStart::Installer => "an installer",
        TrayStart::Person => "a person",
    };
    let before = if after_unclean_end { "; the previous tray did not shut down cleanly" } else { "" };
    format!("started by {by}{before}")
}

/// The reason for the next start or stop of a core, if this event is one.
pub fn cause(before: &State, event: &Event) -> Option<&'static str> {
    Some(match event {
        // The request to stop remains the reason for what follows.
        Event::Exited { .. } if matches!(before, State::Stopping { .. } | State::Stopped) => return None,
        Event::Begin => "the tray started",
        Event::Exited { .. } => "the previous core exited",
        Event::StreamEnded => "the previous core was gone",
        Event::Woke => "the computer woke up",
        Event::Asked(ask) => match ask {
            Ask::Start => "the user chose Start core",
            Ask::Stop => "the user chose Stop core",
            Ask::Restart => "the user chose Restart core",
            Ask::Replace => "the user chose to replace an older core",
            Ask::Hand => "a new version of the tray takes over",
            Ask::Leave => "the user chose Quit",
            Ask::SessionEnds => "the session ends",
        },
        _ => return None,
    })
}

/// The journal entry for a supervisor step: kind, process and reason. `cause` is the latest reason before it.
pub fn of_step(before: &State, event: &Event, after: &State, cause: &str) -> Option<(Kind, u32, String)> {
    match (event, before) {
        (Event::Spawned { pid }, _) => Some((Kind::CoreLaunched, *pid, cause.to_owned())),
        (Event::Exited { pid, .. }, State::Stopping { .. }) if before != after => {
            Some((Kind::CoreTerminated, *pid, cause.to_owned()))
        }
        (Event::Exited { pid, code, .. }, _) if before != after => {
            let reason = match after {
                State::Pausing(failure) | State::Failed(failure) => failure.sentence(),
                _ => code.map_or_else(|| "by a signal".to_owned(), |code| format!("with code {code}")),
            };
            Some((Kind::CoreExited, *pid, reason))
        }
        _ => None,
    }
}

/// Whether the journal ends before the last tray's exit entry.
pub fn ended_unclean<'a>(lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> bool {
    let of_the_app = |kind: &Kind| matches!(kind, Kind::AppLaunched | Kind::AppTerminating);
    let mut last = lines.rev().filter_map(|line| serde_json::from_slice::<Entry>(line).ok()).map(|entry| entry.kind);
    last.find(of_the_app) == Some(Kind::AppLaunched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tray::supervisor::{Supervisor, step};

    #[test]
    fn a_missing_exit_entry_is_detected() {
        let launched = br#"{"kind":"appLaunched","reason":"x","at":"2026-01-01T00:00:00Z","pid":1}"#.as_slice();
        let core = br#"{"kind":"coreLaunched","reason":"x","at":"2026-01-01T00:00:00Z","pid":2}"#.as_slice();
        let ended = br#"{"kind":"appTerminating","reason":"x","at":"2026-01-01T00:00:00Z","uptimeSeconds":3,"pid":1}"#;
        let lines = |lines: &[&'static [u8]]| ended_unclean(lines.iter().copied());
        assert!(lines(&[launched, core, b"\xff garbage {", br#"{"kind":"updateCheck"}"#]));
        assert!(!lines(&[launched, core, ended, core]));
        assert!(!lines(&[]) && !lines(&[b"[]"]));
    }

    #[test]
    fn each_start_and_exit_of_a_core_is_recorded_with_its_reason() {
        let mut supervisor = Supervisor::new(true, true);
        let mut why = "";
        let mut recorded = Vec::new();
        let exit = |pid| Event::Exited {
            pid,
            code: Some(1),
            stderr: "error: it broke".into(),
        };
        let life = [
            Event::Begin,
            Event::Probed(crate::tray::supervisor::Probe::NotRunning),
            Event::Spawned { pid: 7 },
            exit(7),
            Event::Wake,
            Event::Probed(crate::tray::supervisor::Probe::NotRunning),
            Event::Spawned { pid: 8 },
            Event::Asked(Ask::Stop),
            exit(8),
            exit(8),
        ];
        for event in life {
            let before = supervisor.state.clone();
            (supervisor, _) = step(supervisor, event.clone(), std::time::Duration::ZERO);
            recorded.extend(of_step(&before, &event, &supervisor.state, why));
            why = cause(&before, &event).unwrap_or(why);
        }
        assert_eq!(why, "the user chose Stop core", "and not its end, which was asked for");
        let recorded: Vec<(Kind, u32, &str)> =
            recorded.iter().map(|(kind, pid, why)| (*kind, *pid, why.as_str())).collect();
        assert_eq!(
            recorded,
            [
                (Kind::CoreLaunched, 7, "the tray started"),
                (Kind::CoreExited, 7, "The core crashed: it broke"),
                (Kind::CoreLaunched, 8, "the previous core exited"),
                (Kind::CoreTerminated, 8, "the user chose Stop core"),
            ]
        );
    }
}
