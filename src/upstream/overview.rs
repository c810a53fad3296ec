//! The servers of a pool as they are now.

use crate::os::sync::read;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

impl UpstreamPool {
    /// One server.
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        let servers = read(&self.servers);
        servers.get(name).map(|server| server.state.borrow().clone())
    }

    /// Whether a server of this name is configured.
    pub fn has(&self, name: &str) -> bool {
        read(&self.servers).contains_key(name)
    }

    /// Every server, by name.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.each(Snapshot::clone)
    }

    /// Part of every server, by name. Copies nothing else, which takes long for a thousand servers.
    pub fn each<T>(&self, part: impl Fn(&Snapshot) -> T) -> Vec<T> {
        read(&self.servers).values().map(|server| part(&server.state.borrow())).collect()
    }

    /// Whether one server is like this.
    pub fn any(&self, is: impl Fn(&Snapshot) -> bool) -> bool {
        read(&self.servers).values().any(|server| is(&server.state.borrow()))
    }
}
