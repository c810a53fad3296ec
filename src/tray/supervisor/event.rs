//! The inputs of the supervisor: the running core, events and requests.

use semver::Version;

use super::failure::Failure;
use crate::contract::api::{Info, LaunchedBy};
use crate::contract::names;

/// A running core, as its `/info` response describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core {
    pub pid: Option<u32>,
    pub whose: Whose,
    /// Whether it offers a REST call to stop it.
    pub can_shut_down: bool,
    /// It is a core of ours and older than the one this tray would start.
    pub older: bool,
}

/// The origin of a running core. The tray stops only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This tray started it.
    Child,
    /// An earlier tray started it.
    Adopted,
    /// A user or a service started it.
    Foreign,
}

impl Core {
    /// Reads the core's description of itself. `bundled` is the version of the core that came with this tray; without
    /// one no core counts as older.
    pub fn from_info(info: &Info, bundled: Option<&Version>) -> Core {
        let ours = info.implementation.as_deref() == Some(names::IMPLEMENTATION);
        let version = Version::parse(info.version.trim_start_matches('v')).ok();
        Core {
            pid: (info.pid > 1).then_some(info.pid),
            whose: match info.launched_by {
                LaunchedBy::Tray | LaunchedBy::Installer => Whose::Adopted,
                _ => Whose::Foreign,
            },
            can_shut_down: info.can_shut_down,
            older: ours && version.as_ref().zip(bundled).is_some_and(|(running, bundled)| running < bundled),
        }
    }
}

/// The result of an attempt to reach a core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Ready(Core),
    /// Nothing listens, so the tray may start a core.
    NotRunning,
    /// A program listens but does not serve (yet).
    Silent(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Begin,
    Probed(Probe),
    Spawned {
        pid: u32,
    },
    SpawnFailed(Failure),
    /// A process has ended. `code` is absent if a signal ended it or the code is unknown.
    Exited {
        pid: u32,
        code: Option<i32>,
        stderr: String,
    },
    /// The core's event stream has ended.
    StreamEnded,
    /// The delay requested by `Effect::WakeAfter` is over.
    Wake,
    /// The computer woke from sleep.
    Woke,
    Asked(Ask),
}

/// A request of the user or the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Start,
    Stop,
    Restart,
    /// Replace a core that is older than ours, even if this tray did not start it.
    Replace,
    /// Exit for a new version of this tray; the core keeps running.
    Hand,
    /// Quit: stop our core, then exit.
    Leave,
    /// The session ends: as `Leave`, but faster, and nothing is started any more.
    SessionEnds,
}
