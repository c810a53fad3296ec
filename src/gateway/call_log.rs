//! Counts recent calls of tools, which search results can show.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of stored calls, in memory only. The oldest is dropped first.
const MOST: usize = 1000;

/// The latest calls of upstream tools, without blocked ones.
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

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<'a> {
    Success,
    /// The tool or its server failed.
    Error(&'a str),
    /// MCPProxy blocked the call.
    Blocked(&'a str),
}

/// Usage of a tool among the stored calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub count: u64,
    pub last: jiff::Timestamp,
}

impl RecentCalls {
    fn calls(&self) -> MutexGuard<'_, VecDeque<RecentCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call.
    pub fn note(&self, server: &str, tool: &str) {
        let call = RecentCall {
            server: server.to_owned(),
            tool: tool.to_owned(),
            at: crate::os::clock::now(),
        };
        let mut calls = self.calls();
        if calls.len() >= MOST {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Returns the usage of each of these tools, given as server and name; `None` if it was not called.
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
