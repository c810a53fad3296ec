//! Launch at login: what the system says of it, and the two things a click may do to it.
//!
//! The state is always read from the system and never remembered. Only a person's [`Click`] enables; starting, upgrading
//! or moving the program at most corrects the path of an entry that is ours and enabled (pitfalls B3, B11, B13, B23).

pub mod linux;
pub mod macos;
pub(super) mod watch;
pub mod windows;

#[cfg(windows)]
#[path = "run_key.rs"]
mod mechanism;
#[cfg(target_os = "macos")]
#[path = "service_management.rs"]
mod mechanism;
#[cfg(not(any(windows, target_os = "macos")))]
#[path = "xdg_entry.rs"]
mod mechanism;

mod write_sidecar;

pub use mechanism::Autostart;
pub use write_sidecar::write_sidecar;

use crate::contract::sidecar::AutostartState;
use crate::tray::first_run::Answer;
use crate::tray::menu::Command;

/// What the system says of launch-at-login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Enabled,
    /// Not registered; a click may register it.
    Disabled,
    /// Registered, and switched off by the person in the system's own settings.
    DisabledInSystem,
    /// Registered, and the person has yet to allow it in the system's settings (macOS).
    RequiresApproval,
    /// It cannot be had here; a sentence says why.
    Impossible(String),
}

impl Status {
    /// The word for the sidecar; `None` where there is to be no sidecar.
    pub fn sidecar_state(&self) -> Option<AutostartState> {
        match self {
            Status::Enabled => Some(AutostartState::Enabled),
            Status::Disabled | Status::DisabledInSystem => Some(AutostartState::Disabled),
            Status::RequiresApproval => Some(AutostartState::RequiresApproval),
            Status::Impossible(_) => None,
        }
    }
}

/// A person's click, without which nothing is registered or taken back. Only an answer or a chosen line makes one.
#[derive(Debug)]
pub struct Click(());

impl Click {
    /// The click on *Continue*; a closed window holds none.
    pub fn of_answer(answer: Answer) -> Option<Click> {
        matches!(answer, Answer::Continue { .. }).then_some(Click(()))
    }

    /// The click on *Run at Startup*, and on no other line.
    pub fn of_command(command: &Command) -> Option<Click> {
        (*command == Command::ToggleAutostart).then_some(Click(()))
    }

    /// A click for the tests of the mechanisms.
    #[cfg(test)]
    pub fn by_person() -> Click {
        Click(())
    }
}

/// What a click on *Run at Startup* does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    Enable,
    Disable,
    /// Only the person's word in the system's own settings can change it.
    OpenSettings,
    Nothing,
}

/// What a click on *Run at Startup* does in this state. The line has said so where it was switched off in the system.
pub fn on_click(status: &Status) -> Move {
    match status {
        Status::Enabled => Move::Disable,
        Status::Disabled | Status::DisabledInSystem => Move::Enable,
        Status::RequiresApproval => Move::OpenSettings,
        Status::Impossible(_) => Move::Nothing,
    }
}

/// Where a person allows a login item that awaits approval (macOS).
pub const SETTINGS: &str = "x-apple.systempreferences:com.apple.LoginItems-Settings.extension";

/// Variables that [`Autostart::of_this_program`] looks at.
pub const VARIABLES: [&str; 4] = ["XDG_CONFIG_HOME", "APPIMAGE", "FLATPAK_ID", "SNAP"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_and_one_line_are_a_click() {
        assert!(Click::of_answer(Answer::Continue { ticked: true }).is_some());
        assert!(Click::of_answer(Answer::Closed).is_none());
        assert!(Click::of_command(&Command::ToggleAutostart).is_some());
        assert!(Click::of_command(&Command::Quit).is_none());
    }
}
