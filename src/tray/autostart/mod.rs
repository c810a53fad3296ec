//! Launch at login: the state that the system reports, and the two changes a click can make.
//!
//! The state is always read from the system and never cached. Only a user's [`Click`] enables it; starting, upgrading or
//! moving the program at most corrects the path of an entry that is ours and enabled.

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

mod status;
mod write_sidecar;

pub use mechanism::Autostart;
pub use status::Status;
pub use write_sidecar::write_sidecar;

/// Proof that the user asked for the change: nothing is registered or removed without it.
///
/// Only [`crate::tray::menu::Command::click`] and [`crate::tray::first_run::Answer::click`] create one.
#[derive(Debug)]
pub struct Click(());

impl Click {
    /// A click made by the user.
    pub(super) const fn by_user() -> Click {
        Click(())
    }
}

/// The action of a click on *Run at Startup*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    Enable,
    Disable,
    /// Only the user can change it, in the system's settings.
    OpenSettings,
    Nothing,
}

/// The action of a click on *Run at Startup* in this state. The label shows that it was turned off in the system's
/// settings.
pub fn on_click(status: &Status) -> Move {
    match status {
        Status::Enabled => Move::Disable,
        Status::Disabled | Status::DisabledInSystem => Move::Enable,
        Status::RequiresApproval => Move::OpenSettings,
        Status::Impossible(_) => Move::Nothing,
    }
}

/// The settings page where the user allows a login item that needs approval (macOS).
pub const SETTINGS: &str = "x-apple.systempreferences:com.apple.LoginItems-Settings.extension";

/// Environment variables that [`Autostart::of_this_program`] reads.
pub const VARIABLES: [&str; 4] = ["XDG_CONFIG_HOME", "APPIMAGE", "APPDIR", "SNAP"];
