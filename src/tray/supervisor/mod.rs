//! Keeps a core running: decides the next action for every state and event. A pure function; `drive` carries out the
//! effects.

pub mod event;
pub mod failure;
mod last_words;
pub mod state;

use std::time::Duration;

pub use event::{Ask, Core, Event, Probe, Whose};
pub use failure::Failure;
pub use state::{Effect, State, Then};

use crate::contract::exit_code::ExitCode;

/// How long a core may take to start serving, or to answer again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Delays between requesting a stop, terminating, killing, and giving up.
const GRACE: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(3), Duration::from_secs(2)];
/// The same delays at the end of the session: the system waits 5 s for all of us, then kills.
const HURRY: [Duration; 3] = [
    Duration::from_millis(1500),
    Duration::from_millis(1000),
    Duration::from_millis(200),
];
/// After this many crashes within [`CRASH_WINDOW`] the supervisor gives up.
const CRASH_LIMIT: usize = 5;
const CRASH_WINDOW: Duration = Duration::from_secs(120);
/// Maximum pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The supervisor's state and its memory between states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    pub state: State,
    /// False: the tray only connects to cores and never starts one (`MCPPROXY_TRAY_SKIP_CORE`).
    may_start: bool,
    /// False: starts no core until the user asks (the preference *Start core automatically*).
    wanted: bool,
    /// An older core was replaced. Only once: otherwise two trays would replace each other's cores forever.
    replaced: bool,
    /// A core was started before. Only the first one gets the installer as its launch source.
    started_before: bool,
    hurry: bool,
    crashes: Vec<Duration>,
}

/// Returns the supervisor after the event and the actions to carry out. `now` is the time since the tray started.
pub fn step(mut supervisor: Supervisor, event: Event, now: Duration) -> (Supervisor, Vec<Effect>) {
    let effects = supervisor.on(event, now);
    (supervisor, effects)
}

impl Supervisor {
    /// A supervisor that waits for [`Event::Begin`].
    pub fn new(may_start: bool, wanted: bool) -> Supervisor {
        Supervisor {
            state: State::Looking { since: Duration::ZERO },
            may_start,
            wanted,
            replaced: false,
            started_before: false,
            hurry: false,
            crashes: Vec::new(),
        }
    }

    fn on(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        match event {
            Event::Begin => self.look(now),
            Event::Asked(ask) => self.asked(ask, now),
            Event::Probed(probe) => self.probed(probe, now),
            Event::Wake => self.woken(now),
            Event::Woke => self.awake(now),
            Event::Spawned { pid } => self.spawned(pid),
            Event::SpawnFailed(failure) => match self.state {
                State::Starting { .. } => self.fail(failure),
                _ => Vec::new(),
            },
            Event::Exited { pid, code, stderr } => self.exited(pid, code, &stderr, now),
            Event::StreamEnded => match self.state {
                State::Running(core) => {
                    self.state = State::Rejoining { core, since: now };
                    vec![Effect::Probe]
                }
                _ => Vec::new(),
            },
        }
    }

    fn look(&mut self, now: Duration) -> Vec<Effect> {
        self.state = State::Looking { since: now };
        vec![Effect::Probe]
    }

    fn start(&mut self, now: Duration) -> Vec<Effect> {
        if !self.may_start || !self.wanted {
            return self.absent(0);
        }
        self.state = State::Starting {
            pid: None,
            since: now,
            tries: 0,
        };
        let first = !std::mem::replace(&mut self.started_before, true);
        vec![Effect::Spawn { first }]
    }

    fn absent(&mut self, tries: u32) -> Vec<Effect> {
        self.state = State::Absent { tries };
        vec![Effect::WakeAfter(
            doubled(Duration::from_secs(2), tries).min(LONGEST_PAUSE),
        )]
    }

    fn fail(&mut self, failure: Failure) -> Vec<Effect> {
        self.state = State::Failed(failure);
        Vec::new()
    }

    fn asked(&mut self, ask: Ask, now: Duration) -> Vec<Effect> {
        self.wanted |= matches!(ask, Ask::Start | Ask::Restart | Ask::Replace);
        let then = match ask {
            Ask::Start => {
                return match &mut self.state {
                    State::Stopped | State::Failed(_) | State::Pausing(_) | State::Absent { .. } => {
                        self.crashes.clear();
                        self.look(now)
                    }
                    State::Stopping {
                        then: then @ Then::Rest,
                        ..
                    } => {
                        *then = Then::StartAgain;
                        Vec::new()
                    }
                    _ => Vec::new(),
                };
            }
            Ask::Stop => Then::Rest,
            Ask::Restart => Then::StartAgain,
            Ask::Replace => {
                return match self.state {
                    State::Running(core) if core.older => self.replace(core),
                    _ => Vec::new(),
                };
            }
            Ask::Hand => return self.leave(),
            Ask::Leave => Then::Leave,
            Ask::SessionEnds => {
                self.hurry = true;
                Then::Leave
            }
        };
        match &mut self.state {
            State::Stopping { then: kept, pid, .. } => {
                if *kept != Then::Leave {
                    *kept = then;
                }
                let pid = *pid;
                // Starts over with shorter delays.
                if ask == Ask::SessionEnds {
                    self.descend(pid, 0, Then::Leave, false)
                } else {
                    Vec::new()
                }
            }
            State::Running(core) | State::Rejoining { core, .. } if core.whose != Whose::Foreign => {
                let core = *core;
                self.stop(core, then)
            }
            State::Starting { pid: Some(pid), .. } => {
                let core = Core {
                    pid: Some(*pid),
                    whose: Whose::Child,
                    can_shut_down: false,
                    older: false,
                };
                self.stop(core, then)
            }
            State::Left => Vec::new(),
            _ => match then {
                Then::Leave => self.leave(),
                Then::StartAgain => {
                    self.crashes.clear();
                    self.look(now)
                }
                // A foreign core keeps running. A core that is still starting is stopped once it has a process id.
                Then::Rest => match self.state {
                    State::Running(_) | State::Rejoining { .. } => Vec::new(),
                    _ => {
                        self.state = State::Stopped;
                        Vec::new()
                    }
                },
            },
        }
    }

    fn replace(&mut self, core: Core) -> Vec<Effect> {
        self.replaced = true;
        self.wanted = true;
        self.stop(core, Then::StartAgain)
    }

    fn stop(&mut self, core: Core, then: Then) -> Vec<Effect> {
        let Some(pid) = core.pid else {
            // Without its process id the tray can only ask the core to stop.
            self.state = State::Stopped;
            return if then == Then::Leave { self.leave() } else { Vec::new() };
        };
        let mut effects = self.descend(pid, 0, then, core.can_shut_down);
        if core.whose != Whose::Child {
            effects.push(Effect::AwaitEnd { pid });
        }
        effects
    }

    /// The next step of stopping: request, terminate, kill.
    fn descend(&mut self, pid: u32, rung: usize, then: Then, by_call: bool) -> Vec<Effect> {
        self.state = State::Stopping { pid, rung, then };
        let grace = if self.hurry { HURRY } else { GRACE };
        let pause = Effect::WakeAfter(grace.get(rung).copied().unwrap_or_default());
        match rung {
            0 => vec![Effect::AskToEnd { pid, by_call }, pause],
            1 => vec![Effect::Terminate { pid }, pause],
            2 => vec![Effect::KillTree { pid }, pause],
            _ => self.ended(then, Duration::ZERO),
        }
    }

    fn ended(&mut self, then: Then, now: Duration) -> Vec<Effect> {
        match then {
            Then::Rest => {
                self.state = State::Stopped;
                Vec::new()
            }
            Then::StartAgain => self.look(now),
            Then::Leave => self.leave(),
        }
    }

    fn leave(&mut self) -> Vec<Effect> {
        self.state = State::Left;
        vec![Effect::Leave]
    }

    fn probed(&mut self, probe: Probe, now: Duration) -> Vec<Effect> {
        match (&mut self.state, probe) {
            (
                State::Looking { .. } | State::Starting { .. } | State::Rejoining { .. } | State::Absent { .. },
                Probe::Ready(core),
            ) => self.join(core),
            (State::Looking { .. }, Probe::NotRunning) => self.start(now),
            (State::Looking { since }, Probe::Silent(why)) => {
                if now.saturating_sub(*since) < PATIENCE {
                    vec![Effect::WakeAfter(Duration::from_millis(250))]
                } else {
                    self.fail(Failure::silent(why))
                }
            }
            (State::Starting { pid, since, tries }, Probe::NotRunning | Probe::Silent(_)) => {
                if now.saturating_sub(*since) < PATIENCE {
                    *tries += 1;
                    vec![Effect::WakeAfter(
                        doubled(Duration::from_millis(10), *tries).min(Duration::from_millis(250)),
                    )]
                } else {
                    pid.map(|pid| Effect::KillTree { pid }).into_iter().collect()
                }
            }
            (State::Rejoining { core, since }, Probe::NotRunning) => {
                let (core, waited) = (*core, now.saturating_sub(*since));
                match core.whose {
                    // The system reports its exit. A core that lives but has lost its socket is useless.
                    Whose::Child if waited < Duration::from_secs(10) => {
                        vec![Effect::WakeAfter(Duration::from_millis(500))]
                    }
                    Whose::Child => self.stop(core, Then::StartAgain),
                    _ if waited < Duration::from_secs(1) => vec![Effect::WakeAfter(Duration::from_millis(300))],
                    Whose::Adopted => self.start(now),
                    // A supervisor outside the tray may be about to restart it. Starting our own core would conflict
                    // with that.
                    Whose::Foreign => self.absent(0),
                }
            }
            (State::Rejoining { core, since }, Probe::Silent(_)) => {
                let (core, waited) = (*core, now.saturating_sub(*since));
                if waited > PATIENCE && core.whose != Whose::Foreign {
                    return self.stop(core, Then::StartAgain);
                }
                vec![Effect::WakeAfter(if waited < PATIENCE {
                    Duration::from_secs(1)
                } else {
                    PATIENCE
                })]
            }
            (State::Absent { tries }, Probe::NotRunning | Probe::Silent(_)) => {
                let tries = tries.saturating_add(1);
                self.absent(tries)
            }
            _ => Vec::new(),
        }
    }

    fn join(&mut self, mut core: Core) -> Vec<Effect> {
        let child = match &self.state {
            State::Starting { pid, .. } => *pid,
            State::Rejoining { core, .. } if core.whose == Whose::Child => core.pid,
            _ => None,
        };
        if child.is_some() && core.pid == child {
            core.whose = Whose::Child;
        }
        // The tray keeps its own core running, whatever the preference for the next start.
        self.wanted |= core.whose != Whose::Foreign;
        if core.older && core.whose == Whose::Adopted && self.may_start && !self.replaced {
            return self.replace(core);
        }
        self.state = State::Running(core);
        vec![Effect::Follow]
    }

    fn woken(&mut self, now: Duration) -> Vec<Effect> {
        match &self.state {
            State::Looking { .. } | State::Starting { .. } | State::Rejoining { .. } | State::Absent { .. } => {
                vec![Effect::Probe]
            }
            State::Pausing(_) => self.look(now),
            State::Stopping { pid, rung, then } => {
                let (pid, rung, then) = (*pid, rung + 1, *then);
                self.descend(pid, rung, then, false)
            }
            State::Running(_) | State::Stopped | State::Failed(_) | State::Left => Vec::new(),
        }
    }

    /// Time asleep does not count: restarts every deadline and checks again what was running.
    fn awake(&mut self, now: Duration) -> Vec<Effect> {
        match &mut self.state {
            State::Running(core) => {
                self.state = State::Rejoining {
                    core: *core,
                    since: now,
                };
                vec![Effect::Probe]
            }
            State::Looking { since } | State::Starting { since, .. } | State::Rejoining { since, .. } => {
                *since = now;
                vec![Effect::Probe]
            }
            State::Absent { .. } => vec![Effect::Probe],
            State::Pausing(_) => self.look(now),
            State::Stopping { .. } | State::Stopped | State::Failed(_) | State::Left => Vec::new(),
        }
    }

    fn spawned(&mut self, id: u32) -> Vec<Effect> {
        match &mut self.state {
            State::Starting { pid, .. } => {
                *pid = Some(id);
                vec![Effect::WakeAfter(Duration::from_millis(10))]
            }
            // The user chose Stop or Quit while the core was starting.
            State::Left | State::Stopped => vec![Effect::Terminate { pid: id }],
            _ => Vec::new(),
        }
    }

    fn exited(&mut self, ended: u32, code: Option<i32>, stderr: &str, now: Duration) -> Vec<Effect> {
        match &self.state {
            State::Stopping { pid, then, .. } if *pid == ended => {
                let then = *then;
                self.ended(then, now)
            }
            State::Starting { pid, .. } if *pid == Some(ended) => self.crashed(code, stderr, now),
            State::Running(core) | State::Rejoining { core, .. } if core.pid == Some(ended) => {
                self.crashed(code, stderr, now)
            }
            _ => Vec::new(),
        }
    }

    fn crashed(&mut self, code: Option<i32>, stderr: &str, now: Duration) -> Vec<Effect> {
        let class = code.map_or(ExitCode::General, ExitCode::from_code);
        let failure = Failure::of_exit(class, code, stderr);
        if !failure.may_pass() {
            return self.fail(failure);
        }
        self.crashes.retain(|crash| now.saturating_sub(*crash) < CRASH_WINDOW);
        self.crashes.push(now);
        if self.crashes.len() >= CRASH_LIMIT {
            return self.fail(failure.given_up());
        }
        let pause = doubled(Duration::from_secs(1), self.crashes.len() as u32 - 1).min(LONGEST_PAUSE);
        self.state = State::Pausing(failure);
        vec![Effect::WakeAfter(pause)]
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16))
}

#[cfg(test)]
mod tests;
