//! Launch at login: what the system says of it, and what a click may change.
//!
//! The rules of all three systems are values in [`linux`], [`macos`] and [`windows`], tested everywhere; [`system`]
//! is this system's way of reading and writing them.

pub mod linux;
pub mod macos;
pub mod windows;

#[cfg_attr(windows, path = "win32.rs")]
#[cfg_attr(target_os = "macos", path = "service_management.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "xdg_autostart.rs")]
pub mod system;

use crate::contract::names;
use crate::contract::platform::Platform;
use crate::contract::sidecar::AutostartState;
use crate::os::environment::Environment;
use crate::tray::first_run::Answer;
use crate::tray::menu::Command;

/// What the system says of launch at login; never what we remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Enabled,
    Disabled,
    /// The person switched it off in the system's own settings: theirs to switch on again.
    DisabledInSystem,
    /// Registered, and waiting for the person's word in the system's settings (macOS).
    AwaitingApproval,
    /// Not possible here, and why.
    Impossible(String),
}

impl Status {
    /// The state for the sidecar; none where launch at login is not possible.
    pub fn told(&self) -> Option<AutostartState> {
        match self {
            Status::Enabled => Some(AutostartState::Enabled),
            Status::Disabled | Status::DisabledInSystem => Some(AutostartState::Disabled),
            Status::AwaitingApproval => Some(AutostartState::RequiresApproval),
            Status::Impossible(_) => None,
        }
    }
}

/// Proof that a person asked for launch at login just now. Nothing but an answer or a click can make one.
#[derive(Debug)]
pub struct Consent(());

impl Consent {
    /// Consent given with *Continue* and a ticked box.
    pub fn of_answer(answer: Answer) -> Option<Consent> {
        (answer == Answer::Continue { ticked: true }).then_some(Consent(()))
    }

    /// Consent given by choosing *Run at Startup*.
    pub fn of_click(command: &Command) -> Option<Consent> {
        (*command == Command::ToggleAutostart).then_some(Consent(()))
    }
}

/// What a click on *Run at Startup* does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    Enable,
    Disable,
    /// Only the system's own settings can change it.
    OpenSettings,
    Nothing,
}

/// What a click does in this state.
pub fn on_click(platform: Platform, status: &Status) -> Move {
    match (status, platform) {
        (Status::Enabled, _) => Move::Disable,
        (Status::Disabled, _) => Move::Enable,
        // Writing over what Task Manager or System Settings wrote would be against the person's word.
        (Status::DisabledInSystem, Platform::Windows | Platform::MacOs) | (Status::AwaitingApproval, _) => {
            Move::OpenSettings
        }
        // An entry with `Hidden=true` has no settings program everywhere: the click is the person's word.
        (Status::DisabledInSystem, _) => Move::Enable,
        (Status::Impossible(_), _) => Move::Nothing,
    }
}

/// The program that is to be started at login, or why none can be.
///
/// # Errors
/// A sentence: this copy of the program is not one that will still be there at the next login.
pub fn program(platform: Platform, executable: &str, environment: &Environment) -> Result<String, String> {
    if platform == Platform::MacOs {
        return macos::program(executable);
    }
    if environment.non_empty("FLATPAK_ID").is_some() || environment.non_empty("SNAP").is_some() {
        return Err("not from inside a sandbox".to_owned());
    }
    if let Some(image) = environment.non_empty("APPIMAGE") {
        return Ok(image.to_owned());
    }
    if executable.contains("/.mount_") {
        return Err("this copy is gone when it ends".to_owned());
    }
    if executable.contains(char::REPLACEMENT_CHARACTER) || executable.contains(['\n', '\r']) {
        return Err("the program's path cannot be written down".to_owned());
    }
    Ok(executable.to_owned())
}

/// Names in the environment that this room looks at.
pub const VARIABLES: [&str; 4] = ["FLATPAK_ID", "SNAP", "APPIMAGE", "XDG_CONFIG_HOME"];

/// The command line of the login entry, program first.
pub fn command_line(program: &str) -> [&str; 2] {
    [program, names::AUTOSTART_ARGUMENT]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_turns_round_what_is_ours_and_leaves_what_is_the_systems() {
        use Move::{Disable, Enable, OpenSettings};
        use Platform::{Linux, MacOs, Windows};
        let table = [
            (Linux, Status::Enabled, Disable),
            (Linux, Status::Disabled, Enable),
            (Linux, Status::DisabledInSystem, Enable),
            (Windows, Status::DisabledInSystem, OpenSettings),
            (MacOs, Status::AwaitingApproval, OpenSettings),
            (Windows, Status::Impossible(String::new()), Move::Nothing),
        ];
        for (platform, status, expected) in table {
            assert_eq!(on_click(platform, &status), expected, "{platform:?} {status:?}");
        }
    }

    #[test]
    fn consent_comes_from_a_ticked_answer_or_the_one_menu_line() {
        assert!(Consent::of_answer(Answer::Continue { ticked: true }).is_some());
        assert!(Consent::of_answer(Answer::Continue { ticked: false }).is_none());
        assert!(Consent::of_answer(Answer::Closed).is_none());
        assert!(Consent::of_click(&Command::ToggleAutostart).is_some());
        assert!(Consent::of_click(&Command::Quit).is_none());
    }

    #[test]
    fn only_a_program_that_stays_is_registered() {
        let with =
            |name: &str, value: &str| -> Environment { [(name.to_owned(), value.to_owned())].into_iter().collect() };
        let none = Environment::default();
        assert_eq!(program(Platform::Linux, "/opt/a", &none).as_deref(), Ok("/opt/a"));
        let image = with("APPIMAGE", "/home/ann/MCPProxy.AppImage");
        assert_eq!(
            program(Platform::Linux, "/tmp/.mount_MCPabc/usr/bin/mcpproxy-tray", &image).as_deref(),
            Ok("/home/ann/MCPProxy.AppImage")
        );
        assert!(program(Platform::Linux, "/tmp/.mount_MCPabc/a", &none).is_err());
        assert!(program(Platform::Linux, "/app/bin/a", &with("FLATPAK_ID", "x")).is_err());
        assert!(program(Platform::Linux, "/home/ann/a\u{FFFD}b", &none).is_err());
    }
}
