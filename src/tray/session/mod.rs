//! The session's signals to the tray (start at login, wake from sleep) and the tray's request to the session: keep
//! timers precise.

#[cfg_attr(target_os = "macos", path = "appkit.rs")]
#[cfg_attr(not(target_os = "macos"), path = "silent.rs")]
mod mechanism;

#[cfg(not(target_os = "macos"))]
#[cfg_attr(windows, path = "power_broadcast.rs")]
#[cfg_attr(not(windows), path = "logind.rs")]
mod wake;

#[cfg(target_os = "macos")]
pub use mechanism::watch_session;
pub use mechanism::{Promptness, launched_at_login};
#[cfg(not(target_os = "macos"))]
pub use wake::watch_session;

use super::supervisor::State;

/// The launch event on macOS: the first Apple event of the process, in four-letter codes. It is the only source:
/// neither arguments nor the parent process distinguish Finder from the login window (pitfalls B19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchEvent {
    pub class: u32,
    pub id: u32,
    /// The code under [`LaunchEvent::PROPERTY`].
    pub property: Option<u32>,
}

impl LaunchEvent {
    /// `kCoreEventClass`.
    pub const CORE: u32 = u32::from_be_bytes(*b"aevt");
    /// `kAEOpenApplication`.
    pub const OPEN: u32 = u32::from_be_bytes(*b"oapp");
    /// `keyAEPropData`.
    pub const PROPERTY: u32 = u32::from_be_bytes(*b"prdt");
    /// `keyAELaunchedAsLogInItem`.
    pub const LOGIN_ITEM: u32 = u32::from_be_bytes(*b"lgit");

    /// Whether the system opened the application as a login item.
    pub fn is_of_login_item(self) -> bool {
        self.class == Self::CORE && self.id == Self::OPEN && self.property == Some(Self::LOGIN_ITEM)
    }
}

/// Whether the user waits for our timers: a core is starting, stopping or reconnecting. Only then does MCPProxy ask a
/// system that suspends idle programs (App Nap) for precise timers.
pub fn is_in_transit(state: &State) -> bool {
    match state {
        State::Looking { .. }
        | State::Starting { .. }
        | State::Rejoining { .. }
        | State::Pausing(_)
        | State::Stopping { .. } => true,
        State::Running(_) | State::Stopped | State::Failed(_) | State::Absent { .. } | State::Left => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tray::supervisor::{Core, Then, Whose};
    use std::time::Duration;

    #[test]
    fn only_the_login_items_event_is_a_start_at_login() {
        let login = LaunchEvent {
            class: LaunchEvent::CORE,
            id: LaunchEvent::OPEN,
            property: Some(LaunchEvent::LOGIN_ITEM),
        };
        assert!(login.is_of_login_item());
        let code = |letters: &[u8; 4]| u32::from_be_bytes(*letters);
        for other in [
            LaunchEvent {
                property: None,
                ..login
            }, // Finder, `open`
            LaunchEvent {
                property: Some(code(b"svit")),
                ..login
            }, // a service
            LaunchEvent {
                id: code(b"odoc"),
                ..login
            }, // opens a document
            LaunchEvent {
                id: code(b"rapp"),
                ..login
            }, // opened again
            LaunchEvent {
                class: code(b"GURL"),
                ..login
            }, // opens a URL
        ] {
            assert!(!other.is_of_login_item(), "{other:?}");
        }
    }

    #[test]
    fn an_idle_tray_may_nap_whether_a_core_runs_or_not() {
        let core = Core {
            pid: Some(7),
            whose: Whose::Child,
            can_shut_down: true,
            older: false,
        };
        let since = Duration::ZERO;
        for quiet in [
            State::Running(core),
            State::Stopped,
            State::Absent { tries: 3 },
            State::Left,
        ] {
            assert!(!is_in_transit(&quiet), "{quiet:?}");
        }
        let stopping = State::Stopping {
            pid: 7,
            rung: 0,
            then: Then::Rest,
        };
        for busy in [State::Looking { since }, State::Rejoining { core, since }, stopping] {
            assert!(is_in_transit(&busy), "{busy:?}");
        }
    }
}
