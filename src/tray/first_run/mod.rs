//! The first-run question: whether to ask it, its text, and what an answer means.
//!
//! [`window`] shows it. Each desktop has its own file for that. [`next_step()`] decides about the second window.

#[cfg_attr(windows, path = "win32.rs")]
#[cfg_attr(target_os = "macos", path = "appkit.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
pub mod window;

mod next_step;

use crate::contract::launch::TrayStart;
use crate::tray::autostart::{Click, Status};
use crate::tray::preferences::{FirstRun, Launch};

pub use next_step::{Choice, GET_STARTED, LATER, NEXT_TITLE, NextStep, next_step};

pub const TITLE: &str = "Welcome to MCPProxy";
pub const PURPOSE: &str = "MCPProxy connects all your AI clients to all your MCP servers through one local address. \
                           Find it in the notification area.";
/// Which data leaves the computer, and how to view and stop it.
pub const STATISTICS: &str = "It can send one anonymous usage report a day (counts only, no names or content). You can \
                              view it or turn it off in the tray menu.";
/// Label of the checkbox.
pub const BOX: &str = "Launch MCPProxy at login";
/// Label of the button.
pub const BUTTON: &str = "Continue";

/// Maximum number of times the window is shown.
const MOST_TIMES: u32 = 2;

/// A question to ask now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Whether the checkbox starts checked.
    pub ticked: bool,
}

/// How the user left the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// *Continue*, with the state of the checkbox.
    Continue { ticked: bool },
    /// Closed by its title bar or Escape: no answer.
    Closed,
}

impl Answer {
    /// The click on *Continue* that may change launch at login. Closing the window is not a click.
    pub fn click(self) -> Option<Click> {
        matches!(self, Answer::Continue { .. }).then(Click::by_user)
    }
}

/// The state at the start.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    pub start: TrayStart,
    pub ci: bool,
    /// The user disabled the question (`MCPPROXY_NO_FIRST_RUN`).
    pub unwanted: bool,
    pub has_configuration: bool,
    pub autostart: &'a Status,
}

/// The question to ask, if any, and the record that it was asked. The caller stores the record before it shows the
/// window.
pub fn question(seen: &Circumstances<'_>, record: &FirstRun) -> Option<(Question, FirstRun)> {
    let by_a_person = seen.start != TrayStart::Login && !seen.ci && !seen.unwanted;
    let open = record.answer.is_none() && record.asked < MOST_TIMES;
    if !by_a_person || !open || matches!(seen.autostart, Status::Impossible(_)) {
        return None;
    }
    let mut record = record.clone();
    if record.asked == 0 {
        record.had_configuration = seen.has_configuration;
    }
    record.asked += 1;
    let ticked = match seen.autostart {
        Status::Enabled | Status::RequiresApproval => true,
        // The user turned it off, so it is not suggested again.
        Status::DisabledInSystem => false,
        // Users of an earlier version did without launch at login.
        Status::Disabled | Status::Impossible(_) => !record.had_configuration,
    };
    Some((Question { ticked }, record))
}

/// The record after an answer.
pub fn answered(mut record: FirstRun, answer: Answer) -> FirstRun {
    record.answer = match answer {
        Answer::Continue { ticked: true } => Some(Launch::Yes),
        Answer::Continue { ticked: false } => Some(Launch::No),
        Answer::Closed if record.asked >= MOST_TIMES => Some(Launch::No),
        Answer::Closed => None,
    };
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(start: TrayStart, autostart: &Status, record: &FirstRun) -> Option<(Question, FirstRun)> {
        let seen = Circumstances {
            start,
            ci: false,
            unwanted: false,
            has_configuration: false,
            autostart,
        };
        question(&seen, record)
    }

    fn by_hand(record: &FirstRun) -> Option<(Question, FirstRun)> {
        ask(TrayStart::Person, &Status::Disabled, record)
    }

    #[test]
    fn only_continue_is_a_click() {
        assert!(Answer::Continue { ticked: true }.click().is_some());
        assert!(Answer::Closed.click().is_none());
    }

    #[test]
    fn a_new_user_sees_a_checked_box() {
        let (question, record) = by_hand(&FirstRun::default()).unwrap();
        assert!(question.ticked);
        assert_eq!((record.asked, record.answer), (1, None));
    }

    #[test]
    fn a_user_with_a_configuration_sees_an_unchecked_box_both_times() {
        let none = Status::Disabled;
        let seen = Circumstances {
            start: TrayStart::Person,
            ci: false,
            unwanted: false,
            has_configuration: true,
            autostart: &none,
        };
        let (first, record) = question(&seen, &FirstRun::default()).unwrap();
        let (second, _) = question(&seen, &answered(record, Answer::Closed)).unwrap();
        assert!(!first.ticked && !second.ticked);
    }

    #[test]
    fn a_configuration_written_by_our_own_core_does_not_count() {
        let (_, record) = by_hand(&FirstRun::default()).unwrap();
        let none = Status::Disabled;
        let seen = Circumstances {
            start: TrayStart::Person,
            ci: false,
            unwanted: false,
            has_configuration: true,
            autostart: &none,
        };
        assert!(question(&seen, &record).unwrap().0.ticked);
    }

    #[test]
    fn closing_the_window_counts_as_no_only_the_second_time() {
        let (_, record) = by_hand(&FirstRun::default()).unwrap();
        let (_, record) = by_hand(&answered(record, Answer::Closed)).unwrap();
        let record = answered(record, Answer::Closed);
        assert_eq!(record.answer, Some(Launch::No));
        assert_eq!(by_hand(&record), None);
    }

    #[test]
    fn an_answer_is_for_ever() {
        for ticked in [true, false] {
            let (_, record) = by_hand(&FirstRun::default()).unwrap();
            let record = answered(record, Answer::Continue { ticked });
            assert_eq!(record.answer, Some(if ticked { Launch::Yes } else { Launch::No }));
            assert_eq!(by_hand(&record), None);
        }
    }

    #[test]
    fn only_a_user_is_asked() {
        let new = FirstRun::default();
        assert!(ask(TrayStart::Installer, &Status::Disabled, &new).is_some());
        assert_eq!(ask(TrayStart::Login, &Status::Disabled, &new), None);
        assert_eq!(ask(TrayStart::Person, &Status::Impossible("x".into()), &new), None);
        let (status, seen) = (Status::Disabled, |ci, unwanted, autostart| Circumstances {
            start: TrayStart::Person,
            ci,
            unwanted,
            has_configuration: false,
            autostart,
        });
        assert_eq!(question(&seen(true, false, &status), &new), None);
        assert_eq!(question(&seen(false, true, &status), &new), None);
    }

    #[test]
    fn launch_at_login_that_the_user_turned_off_is_not_suggested_again() {
        let (question, _) = ask(TrayStart::Person, &Status::DisabledInSystem, &FirstRun::default()).unwrap();
        assert!(!question.ticked);
    }
}
