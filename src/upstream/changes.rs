//! Counts the changes of all servers, for those who follow them.
//!
//! Each change costs every follower a look at all servers, and a thousand failing servers change all the time. So new tools are
//! counted at once, and other changes are counted together while there are many.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::Tool;
use tokio::sync::watch;

use crate::os::sync::lock;
use crate::upstream::approvals::PendingTool;
use crate::upstream::snapshot::{DisabledTools, Snapshot};

/// Changes that affect no tool are counted together if they follow each other within this time.
const GATHER: Duration = Duration::from_millis(250);

/// The counters.
#[derive(Debug, Default)]
pub struct Changes {
    all: watch::Sender<u64>,
    tools: watch::Sender<u64>,
    gathering: Mutex<Gathering>,
}

impl Changes {
    /// A counter that increases with every change.
    pub fn all(&self) -> watch::Receiver<u64> {
        self.all.subscribe()
    }

    /// A counter that increases when what clients can use may have changed.
    pub fn of_tools(&self) -> watch::Receiver<u64> {
        self.tools.subscribe()
    }

    /// Counts a change of what clients can use.
    pub fn announce(&self) {
        self.count(Effect::Lists);
    }

    /// Counts the changes of one server from now on; ends with that server's task.
    pub fn follow(self: Arc<Changes>, mut state: watch::Receiver<Snapshot>) -> impl Future<Output = ()> + Send {
        let mut offered = Offered::by(&state.borrow_and_update());
        async move {
            while state.changed().await.is_ok() {
                let now = Offered::by(&state.borrow_and_update());
                if !now.has_tools_of(&offered) {
                    self.announce();
                } else if now.is_starting != offered.is_starting {
                    self.count_soon(Effect::Lists);
                } else {
                    self.count_soon(Effect::State);
                }
                offered = now;
            }
        }
    }

    fn count(&self, effect: Effect) {
        if effect == Effect::Lists {
            self.tools.send_modify(|changes| *changes += 1);
        }
        self.all.send_modify(|changes| *changes += 1);
    }

    fn count_soon(self: &Arc<Changes>, effect: Effect) {
        let Some(effect) = lock(&self.gathering).add(effect) else { return };
        self.count(effect);
        let changes = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                let Some(effect) = lock(&changes.gathering).end() else { return };
                changes.count(effect);
            }
        });
    }
}

/// The effect of a change; the last one includes the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// On the state that is shown.
    State,
    /// On the lists of tools that clients receive.
    Lists,
}

/// Whether changes are being gathered, and what those since the last count affect.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Gathering {
    #[default]
    Off,
    On(Option<Effect>),
}

impl Gathering {
    /// Adds a change. Returns what is counted at once; then gathering begins.
    fn add(&mut self, effect: Effect) -> Option<Effect> {
        match self {
            Gathering::Off => {
                *self = Gathering::On(None);
                Some(effect)
            }
            Gathering::On(gathered) => {
                *gathered = (*gathered).max(Some(effect));
                None
            }
        }
    }

    /// Ends a time of gathering. Returns what is counted; then the next one begins.
    fn end(&mut self) -> Option<Effect> {
        let Gathering::On(gathered) = *self else { return None };
        *self = if gathered.is_some() { Gathering::On(None) } else { Gathering::Off };
        gathered
    }
}

/// The tools of a server that clients can use. Keeps the lists alive, so that a new list never has the address of an old one.
struct Offered {
    tools: Option<Arc<Vec<Tool>>>,
    pending: Arc<Vec<PendingTool>>,
    off: Arc<DisabledTools>,
    is_starting: bool,
}

impl Offered {
    fn by(server: &Snapshot) -> Offered {
        Offered {
            tools: server.shared_tools(),
            pending: server.pending.clone(),
            off: server.off.clone(),
            is_starting: server.is_starting(),
        }
    }

    fn has_tools_of(&self, other: &Offered) -> bool {
        self.tools.as_ref().map(Arc::as_ptr) == other.tools.as_ref().map(Arc::as_ptr)
            && Arc::ptr_eq(&self.pending, &other.pending)
            && Arc::ptr_eq(&self.off, &other.off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;
    use crate::upstream::snapshot::Phase;

    /// The counts of all changes and of those of tools.
    async fn counts(changes: &Changes) -> (u64, u64) {
        // The tasks that count run first.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        (*changes.all().borrow(), *changes.of_tools().borrow())
    }

    #[tokio::test(start_paused = true)]
    async fn failed_retries_are_counted_together_and_tools_at_once() {
        let changes = Arc::<Changes>::default();
        let server = || watch::Sender::new(Snapshot::new(Arc::new(ServerConfig::default()), Phase::Connecting));
        let servers: Vec<watch::Sender<Snapshot>> = (0..100).map(|_| server()).collect();
        for server in &servers {
            tokio::spawn(changes.clone().follow(server.subscribe()));
        }
        assert_eq!(counts(&changes).await, (0, 0));
        servers.iter().for_each(|server| server.send_modify(|state| state.note_failure("no".into())));
        assert_eq!(counts(&changes).await, (1, 1), "the first change is counted at once");
        tokio::time::sleep(GATHER * 3).await;
        assert_eq!(counts(&changes).await, (2, 2), "servers that no longer start may change what `/mcp` lists");
        for _ in 0..10 {
            servers.iter().for_each(|server| server.send_modify(|state| state.phase = Phase::Connecting));
            counts(&changes).await;
            servers.iter().for_each(|server| server.send_modify(|state| state.note_failure("no".into())));
            counts(&changes).await;
        }
        assert_eq!(counts(&changes).await, (3, 2), "2,000 changes, of which no client notices any");
        servers[0].send_modify(|state| state.phase = Phase::Connected(Arc::default()));
        assert_eq!(counts(&changes).await, (4, 3), "tools do not wait");
        tokio::time::sleep(GATHER * 3).await;
        assert_eq!(counts(&changes).await, (5, 3), "the others are counted once, and none is lost");
        servers[1].send_modify(|state| state.phase = Phase::Connecting);
        assert_eq!(counts(&changes).await, (6, 3), "after a pause, a change is counted at once again");
    }
}
