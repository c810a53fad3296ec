//! Counts the changes of all servers, for those who follow them.
//!
//! Each change costs every follower a look at all servers, and a thousand failing servers change all the time. So what clients can
//! use is counted at once, and other changes are counted together while there are many.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::Tool;
use tokio::sync::watch;

use crate::os::sync::lock;
use crate::upstream::approvals::PendingTool;
use crate::upstream::snapshot::{DisabledTools, Snapshot};

/// Changes that no client notices are counted together if they follow each other within this time.
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
        self.tools.send_modify(|changes| *changes += 1);
        self.count();
    }

    /// Counts the changes of one server; ends with that server's task.
    pub async fn follow(self: Arc<Changes>, mut state: watch::Receiver<Snapshot>) {
        let mut offered = Offered::by(&state.borrow_and_update());
        while state.changed().await.is_ok() {
            let now = Offered::by(&state.borrow_and_update());
            let is_same = now.is(&offered);
            offered = now;
            if is_same { self.count_soon() } else { self.announce() }
        }
    }

    fn count(&self) {
        self.all.send_modify(|changes| *changes += 1);
    }

    /// Counts a change that no client notices.
    fn count_soon(self: &Arc<Changes>) {
        if !lock(&self.gathering).add() {
            return;
        }
        self.count();
        let changes = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                if !lock(&changes.gathering).end() {
                    return;
                }
                changes.count();
            }
        });
    }
}

/// Whether changes are being gathered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Gathering {
    #[default]
    Off,
    On {
        any: bool,
    },
}

impl Gathering {
    /// Adds a change. Returns whether it is counted at once; then gathering begins.
    fn add(&mut self) -> bool {
        let is_first = *self == Gathering::Off;
        *self = Gathering::On { any: !is_first };
        is_first
    }

    /// Ends a time of gathering. Returns whether there were changes; then the next one begins.
    fn end(&mut self) -> bool {
        let any = *self == Gathering::On { any: true };
        *self = if any { Gathering::On { any: false } } else { Gathering::Off };
        any
    }
}

/// What clients can use of a server. Keeps the lists alive, so that a new list never has the address of an old one.
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

    fn is(&self, other: &Offered) -> bool {
        self.tools.as_ref().map(Arc::as_ptr) == other.tools.as_ref().map(Arc::as_ptr)
            && Arc::ptr_eq(&self.pending, &other.pending)
            && Arc::ptr_eq(&self.off, &other.off)
            && self.is_starting == other.is_starting
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
        let (_, first_failures) = counts(&changes).await;
        assert_eq!(first_failures, 100, "servers that no longer start may change what `/mcp` lists");
        let before = counts(&changes).await.0;
        for _ in 0..10 {
            servers.iter().for_each(|server| server.send_modify(|state| state.phase = Phase::Connecting));
            counts(&changes).await;
            servers.iter().for_each(|server| server.send_modify(|state| state.note_failure("no".into())));
            counts(&changes).await;
        }
        assert_eq!(counts(&changes).await, (before + 1, 100), "the first of 2,000 changes is counted at once");
        servers[0].send_modify(|state| state.phase = Phase::Connected(Arc::default()));
        assert_eq!(counts(&changes).await, (before + 2, 101), "tools do not wait");
        tokio::time::sleep(GATHER * 2).await;
        assert_eq!(counts(&changes).await, (before + 3, 101), "the others are counted once, and none is lost");
        tokio::time::sleep(GATHER * 2).await;
        servers[1].send_modify(|state| state.phase = Phase::Connecting);
        assert_eq!(counts(&changes).await, (before + 4, 101), "after a pause, a change is counted at once again");
    }
}
