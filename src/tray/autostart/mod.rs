//! Launch at login: what the system says of it, and the two things a click may do to it.
//!
//! The state is always read from the system and never remembered. Only a person's [`Click`] enables; starting, upgrading
//! or moving the program at most corrects the path of an entry that is ours and enabled (pitfalls B3, B11, B13, B23).

pub mod linux;
pub mod macos;
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

/// A person's click, without which nothing is registered or taken back.
#[derive(Debug)]
pub struct Click(());

impl Click {
    /// Where a person has just clicked, and nowhere else.
    pub fn by_person() -> Click {
        Click(())
    }
}
