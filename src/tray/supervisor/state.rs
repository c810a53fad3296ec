//! The states of the supervisor and the actions that it requests.

use std::time::Duration;

use super::event::Core;
use super::failure::Failure;

/// An action for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Try to reach a core; the result arrives as `Event::Probed`.
    Probe,
    /// Start a core; the result arrives as `Event::Spawned` or `Event::SpawnFailed`, later `Event::Exited`.
    Spawn { first: bool },
    /// Follow the core's event stream.
    Follow,
    /// Wait until a process that is not our child ends.
    AwaitEnd { pid: u32 },
    /// Ask the core to stop, by a REST call or a signal.
    AskToEnd { pid: u32, by_call: bool },
    /// Terminate a process (SIGTERM).
    Terminate { pid: u32 },
    /// Kill a process and its children.
    KillTree { pid: u32 },
    /// Send `Event::Wake` after this time; replaces an earlier request.
    WakeAfter(Duration),
    /// Nothing is left to do: the tray may exit.
    Leave,
}

/// The supervisor's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Checking whether a core is running.
    Looking {
        since: Duration,
    },
    /// A core was started and does not serve yet.
    Starting {
        pid: Option<u32>,
        since: Duration,
        tries: u32,
    },
    Running(Core),
    /// The connection to a running core was lost.
    Rejoining {
        core: Core,
        since: Duration,
    },
    /// The core crashed; the next try follows after a pause.
    Pausing(Failure),
    Stopping {
        pid: u32,
        rung: usize,
        then: Then,
    },
    /// The user stopped the core.
    Stopped,
    /// Another try would fail the same way: the user must act.
    Failed(Failure),
    /// There is no core and the tray should not start one; it checks for one from time to time.
    Absent {
        tries: u32,
    },
    Left,
}

/// The action after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Rest,
    StartAgain,
    Leave,
}
