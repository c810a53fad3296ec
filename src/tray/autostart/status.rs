//! The launch-at-login state as the system reports it.

use crate::contract::sidecar::AutostartState;

/// The launch-at-login state that the system reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Enabled,
    /// Not registered; a click may register it.
    Disabled,
    /// Registered, but turned off by the user in the system's settings.
    DisabledInSystem,
    /// Registered, but not yet allowed by the user in the system's settings (macOS).
    RequiresApproval,
    /// Not available here; the string says why.
    Impossible(String),
}

impl Status {
    /// The value for the sidecar file; `None` if there should be no file.
    pub fn sidecar_state(&self) -> Option<AutostartState> {
        match self {
            Status::Enabled => Some(AutostartState::Enabled),
            Status::Disabled | Status::DisabledInSystem => Some(AutostartState::Disabled),
            Status::RequiresApproval => Some(AutostartState::RequiresApproval),
            Status::Impossible(_) => None,
        }
    }
}
