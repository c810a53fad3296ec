//! How often tools were called lately: part of a tool's rank in a search.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most calls that are remembered, in memory only; the oldest goes first.
const MOST: usize = 1000;

/// The latest calls of servers' tools that were let through.
#[derive(Debug, Default)]
pub struct RecentCalls {
    calls: Mutex<VecDeque<RecentCall>>,
}

#[derive(Debug)]
struct RecentCall {
    server: String,
    tool: String,
    at: jiff::Timestamp,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<'a> {
    Success,
    /// The server's tool or the server failed.
    Error(&'a str),
    /// It was not let through.
    Blocked(&'a str),
}

/// How often a tool was called, of the calls that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub count: u64,
    pub last: jiff::Timestamp,
}

impl RecentCalls {
    fn calls(&self) -> MutexGuard<'_, VecDeque<RecentCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a call.
    pub fn note(&self, server: &str, tool: &str) {
        let call = RecentCall {
            server: server.to_owned(),
            tool: tool.to_owned(),
            at: jiff::Timestamp::now(),
        };
        let mut calls = self.calls();
        if calls.len() >= MOST {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// How often each of these tools, by server and name, was called; `None` for one that was not.
    pub fn used(&self, tools: &[(&str, &str)]) -> Vec<Option<Used>> {
        let calls = self.calls();
        let mut used: HashMap<(&str, &str), Used> = HashMap::new();
        for call in calls.iter() {
            let last = call.at;
            let tool = used.entry((&call.server, &call.tool)).or_insert(Used { count: 0, last });
            tool.count += 1;
            tool.last = last;
        }
        tools.iter().map(|tool| used.get(tool).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_calls_are_forgotten_first() {
        let calls = RecentCalls::default();
        for number in 0..=MOST {
            calls.note(if number % 2 == 0 { "even" } else { "odd" }, "t");
        }
        let used = calls.used(&[("even", "t"), ("even", "other")]);
        assert_eq!((used[0].map(|used| used.count), used[1]), (Some(MOST as u64 / 2), None));
    }
}
