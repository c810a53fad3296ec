//! The activation state of this installation: one-way flags, client names and 24 h windows. Values only;
//! [`crate::telemetry::store::recorder`] stores them.

pub mod recorder;
mod tables;

use crate::contract::run_facts::{Activation, LaunchSource, TokensSavedBucket};
use crate::telemetry::payload::client_name;

/// Length of a window in seconds. An older window counts as empty.
pub const WINDOW_SECONDS: i64 = 86_400;

/// Maximum number of client names; later ones are not stored.
pub const CLIENTS_KEPT: usize = 16;

/// Estimated tokens that one omitted tool saves in a prompt, as the Go core estimates it.
const TOKENS_PER_TOOL: u64 = 150;

/// A count that restarts 24 h after its first entry. Times are Unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    pub count: u64,
    /// Time of the first entry; 0 for an empty window.
    pub start: i64,
}

impl Window {
    /// Adds to the window that is current at `now`.
    pub fn add(&mut self, more: u64, now: i64) {
        let current = self.at(now);
        self.count = current.saturating_add(more);
        if current == 0 || self.start > now {
            self.start = now;
        }
    }

    /// The count at `now`: 0 once the window is 24 h old.
    ///
    /// A clock set back by less than a day keeps the count. A start further in the future was written with a wrong
    /// clock and would otherwise keep the count forever.
    pub fn at(&self, now: i64) -> u64 {
        let age = now.saturating_sub(self.start);
        if self.start != 0 && (-WINDOW_SECONDS..WINDOW_SECONDS).contains(&age) {
            self.count
        } else {
            0
        }
    }
}

/// The range of a number of saved tokens.
pub fn bucket(tokens: u64) -> TokensSavedBucket {
    match tokens {
        0 => TokensSavedBucket::Zero,
        1..=100 => TokensSavedBucket::UpTo100,
        101..=1_000 => TokensSavedBucket::UpTo1k,
        1_001..=10_000 => TokensSavedBucket::UpTo10k,
        10_001..=100_000 => TokensSavedBucket::UpTo100k,
        _ => TokensSavedBucket::Over100k,
    }
}

/// Estimated tokens that `retrieve_tools` saved by returning `returned` of `indexed` tools.
pub fn tokens_saved(indexed: u64, returned: u64) -> u64 {
    indexed.saturating_sub(returned).saturating_mul(TOKENS_PER_TOOL)
}

/// The state of the installer's mark. It only moves forward, so each installation reports `installer` once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstallerMark {
    /// No installer has started a tray here.
    #[default]
    None,
    /// An installer started a tray, and no heartbeat with that source was accepted yet.
    Pending,
    /// A heartbeat with that source was accepted.
    Reported,
}

/// Everything that telemetry stores about an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub connected_server: bool,
    pub mcp_client: bool,
    pub retrieve_tools_call: bool,
    /// Sanitised, in the order in which they were first seen.
    pub clients: Vec<String>,
    pub retrieve_tools_calls: Window,
    pub tokens_saved: Window,
    pub configured_ides: u32,
    pub installer: InstallerMark,
    /// Time of the last accepted heartbeat in Unix seconds; 0 for never.
    pub last_accepted: i64,
    /// Total number of heartbeats that the anonymity scan blocked.
    pub anonymity_violations: u64,
    /// Number of heartbeats that the scan blocked since the last accepted one.
    pub blocked_in_a_row: u64,
}

impl Memory {
    /// Records a client; false if nothing changed.
    pub(crate) fn note_client(&mut self, name: Option<&str>) -> bool {
        let name = client_name::sanitise(name);
        let first = !std::mem::replace(&mut self.mcp_client, true);
        if self.clients.len() >= CLIENTS_KEPT || self.clients.contains(&name) {
            return first;
        }
        self.clients.push(name);
        true
    }

    /// Adds the data of another memory of the same installation; false if nothing changed.
    pub(crate) fn carry_over(&mut self, other: &Memory) -> bool {
        let before = self.clone();
        self.connected_server |= other.connected_server;
        self.mcp_client |= other.mcp_client;
        self.retrieve_tools_call |= other.retrieve_tools_call;
        for client in &other.clients {
            self.note_client(Some(client));
        }
        for (own, other) in [
            (&mut self.retrieve_tools_calls, other.retrieve_tools_calls),
            (&mut self.tokens_saved, other.tokens_saved),
        ] {
            if own.start == 0 {
                *own = other;
            }
        }
        self.installer = self.installer.max(other.installer);
        *self != before
    }

    /// The activation state at `now`.
    pub fn activation(&self, now: i64) -> Activation {
        Activation {
            first_connected_server_ever: self.connected_server,
            first_mcp_client_ever: self.mcp_client,
            first_retrieve_tools_call_ever: self.retrieve_tools_call,
            mcp_clients_seen_ever: self.clients.clone(),
            retrieve_tools_calls_24h: self.retrieve_tools_calls.at(now),
            estimated_tokens_saved_24h_bucket: bucket(self.tokens_saved.at(now)),
            configured_ide_count: self.configured_ides,
        }
    }

    /// The launch source to report: `installer` until a heartbeat with it was accepted, then `tray`.
    pub fn launch_source(&self, given: LaunchSource) -> LaunchSource {
        match (self.installer, given) {
            (InstallerMark::Reported, LaunchSource::Installer) => LaunchSource::Tray,
            (InstallerMark::Pending, _) => LaunchSource::Installer,
            (_, given) => given,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_empty_from_its_24th_hour_on() {
        let mut window = Window::default();
        window.add(2, 1_000);
        window.add(3, 1_000 + WINDOW_SECONDS - 1);
        assert_eq!(window.at(1_000 + WINDOW_SECONDS - 1), 5);
        assert_eq!(window.at(1_000 + WINDOW_SECONDS), 0);
        window.add(1, 1_000 + WINDOW_SECONDS);
        assert_eq!(
            window,
            Window {
                count: 1,
                start: 1_000 + WINDOW_SECONDS
            }
        );
    }

    #[test]
    fn a_clock_set_back_neither_skips_a_day_nor_blocks_reports() {
        let mut window = Window::default();
        window.add(2, 10_000);
        assert_eq!(window.at(9_000), 2);
        window.add(1, 9_000);
        assert_eq!(window, Window { count: 3, start: 9_000 });
        let mut wrong = Window {
            count: 7,
            start: 4_000_000_000,
        };
        assert_eq!(wrong.at(1_700_000_000), 0);
        wrong.add(1, 1_700_000_000);
        assert_eq!(wrong.at(1_700_000_000), 1);
        wrong.add(u64::MAX, i64::MIN);
    }

    #[test]
    fn the_buckets_have_the_contracts_edges() {
        let edges = [
            (0, "0"),
            (1, "1_100"),
            (100, "1_100"),
            (101, "100_1k"),
            (1_000, "100_1k"),
            (1_001, "1k_10k"),
            (10_000, "1k_10k"),
            (10_001, "10k_100k"),
            (100_000, "10k_100k"),
            (100_001, "100k_plus"),
            (u64::MAX, "100k_plus"),
        ];
        for (tokens, word) in edges {
            assert_eq!(serde_json::to_value(bucket(tokens)).unwrap(), word, "{tokens}");
        }
        assert_eq!(tokens_saved(50, 15), 35 * 150);
        assert_eq!(tokens_saved(3, 15), 0);
    }

    #[test]
    fn the_first_sixteen_clients_are_kept_once_each() {
        let mut memory = Memory::default();
        for number in 0..20 {
            memory.note_client(Some(&format!("client-{number}")));
            memory.note_client(Some(&format!("client-{number}")));
        }
        assert_eq!(memory.clients.len(), CLIENTS_KEPT);
        assert_eq!(memory.clients.last().map(String::as_str), Some("client-15"));
        assert!(memory.activation(0).first_mcp_client_ever);
    }

    #[test]
    fn the_data_of_another_core_is_added_and_nothing_is_removed() {
        let mut memory = Memory {
            mcp_client: true,
            clients: vec!["cursor".into()],
            tokens_saved: Window { count: 5, start: 7 },
            ..Memory::default()
        };
        let other = Memory {
            connected_server: true,
            clients: vec!["claude-code".into(), "cursor".into()],
            retrieve_tools_calls: Window { count: 1, start: 9 },
            tokens_saved: Window { count: 1, start: 9 },
            ..Memory::default()
        };
        assert!(memory.carry_over(&other) && !memory.carry_over(&other));
        assert!(memory.connected_server && memory.mcp_client && !memory.retrieve_tools_call);
        assert_eq!(memory.clients, ["cursor", "claude-code"]);
        assert_eq!((memory.retrieve_tools_calls.count, memory.tokens_saved.count), (1, 5));
    }

    #[test]
    fn the_installer_is_reported_once_and_then_the_tray() {
        let mut memory = Memory::default();
        assert_eq!(memory.launch_source(LaunchSource::Installer), LaunchSource::Installer);
        memory.installer = InstallerMark::Pending;
        assert_eq!(memory.launch_source(LaunchSource::Tray), LaunchSource::Installer);
        memory.installer = InstallerMark::Reported;
        assert_eq!(memory.launch_source(LaunchSource::Installer), LaunchSource::Tray);
        assert_eq!(memory.launch_source(LaunchSource::LoginItem), LaunchSource::LoginItem);
    }
}
