//! Records the latest tool calls: tool, time, duration, result, and the beginning of an error. Arguments and results
//! are not stored, because they are private.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::contract::api::{ActivityCount, ActivityList, ActivityRecord, ActivitySummary};

/// Maximum number of stored calls, in memory only. The oldest is dropped first.
const MOST: usize = 1000;
/// Maximum length of a stored error, in characters. An error may repeat arguments of the call.
const LONGEST_ERROR: usize = 200;
/// Maximum number of servers in a summary.
const TOP: usize = 10;

/// The latest calls since the core started.
#[derive(Debug, Default)]
pub struct Activity {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    calls: VecDeque<Noted>,
}

#[derive(Debug)]
struct Noted {
    id: u64,
    source: &'static str,
    server: String,
    tool: String,
    took: Duration,
    status: &'static str,
    error: Option<String>,
    at: jiff::Timestamp,
}

impl Noted {
    fn record(&self) -> ActivityRecord {
        ActivityRecord {
            id: self.id.to_string(),
            kind: "tool_call".to_owned(),
            source: self.source.to_owned(),
            server_name: self.server.clone(),
            tool_name: self.tool.clone(),
            status: self.status.to_owned(),
            error_message: self.error.clone(),
            duration_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            timestamp: self.at.to_string(),
            has_sensitive_data: false,
        }
    }
}

/// A completed call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `mcp` for AI clients, `api` for REST and the command line.
    pub source: &'static str,
    pub server: &'a str,
    pub tool: &'a str,
    pub took: Duration,
    pub ended: Ended<'a>,
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

/// Usage of a tool among the stored calls, without blocked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub count: u64,
    pub last: jiff::Timestamp,
}

/// Which calls to list.
#[derive(Debug, Default)]
pub struct Wanted {
    pub server: Option<String>,
    pub status: Option<String>,
    pub limit: usize,
    pub offset: usize,
}

impl Activity {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call.
    pub fn note(&self, call: Call<'_>) {
        let (status, error) = match call.ended {
            Ended::Success => ("success", None),
            Ended::Error(error) => ("error", Some(error)),
            Ended::Blocked(error) => ("blocked", Some(error)),
        };
        let brief = |error: &str| error.lines().next().unwrap_or_default().chars().take(LONGEST_ERROR).collect();
        let mut noted = Noted {
            id: 0,
            source: call.source,
            server: call.server.to_owned(),
            tool: call.tool.to_owned(),
            took: call.took,
            status,
            error: error.map(brief),
            at: jiff::Timestamp::now(),
        };
        let mut kept = self.kept();
        noted.id = kept.next;
        kept.next += 1;
        if kept.calls.len() >= MOST {
            kept.calls.pop_front();
        }
        kept.calls.push_back(noted);
    }

    /// Returns the latest calls, newest first.
    pub fn list(&self, wanted: &Wanted) -> ActivityList {
        let kept = self.kept();
        let fits = |call: &&Noted| {
            wanted.server.as_ref().is_none_or(|server| *server == call.server)
                && wanted.status.as_ref().is_none_or(|status| *status == call.status)
        };
        let found: Vec<&Noted> = kept.calls.iter().rev().filter(fits).collect();
        ActivityList {
            total: found.len(),
            limit: wanted.limit,
            offset: wanted.offset,
            activities: found.into_iter().skip(wanted.offset).take(wanted.limit).map(Noted::record).collect(),
        }
    }

    /// Returns the usage of each of these tools, given as server and name; `None` if it was not called.
    pub fn used(&self, tools: &[(&str, &str)]) -> Vec<Option<Used>> {
        let kept = self.kept();
        let mut used: HashMap<(&str, &str), Used> = HashMap::new();
        for call in kept.calls.iter().filter(|call| call.status != "blocked") {
            let last = call.at;
            let tool = used.entry((&call.server, &call.tool)).or_insert(Used { count: 0, last });
            tool.count += 1;
            tool.last = last;
        }
        tools.iter().map(|tool| used.get(tool).copied()).collect()
    }

    /// Returns one call.
    pub fn one(&self, id: &str) -> Option<ActivityRecord> {
        let id: u64 = id.parse().ok()?;
        self.kept().calls.iter().find(|call| call.id == id).map(Noted::record)
    }

    /// Returns totals of the stored calls.
    pub fn summary(&self) -> ActivitySummary {
        let kept = self.kept();
        let count = |status: &str| kept.calls.iter().filter(|call| call.status == status).count();
        let mut servers: Vec<ActivityCount> = Vec::new();
        for call in &kept.calls {
            match servers.iter_mut().find(|one| one.name == call.server) {
                Some(one) => one.count += 1,
                None => servers.push(ActivityCount {
                    name: call.server.clone(),
                    count: 1,
                }),
            }
        }
        servers.sort_by_key(|one| std::cmp::Reverse(one.count));
        servers.truncate(TOP);
        ActivitySummary {
            period: format!("the latest {MOST} calls since the start"),
            total_count: kept.calls.len(),
            success_count: count("success"),
            error_count: count("error"),
            blocked_count: count("blocked"),
            rejected_count: 0,
            top_servers: servers,
            start_time: kept.calls.front().map(|call| call.at.to_string()).unwrap_or_default(),
            end_time: kept.calls.back().map(|call| call.at.to_string()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(activity: &Activity, server: &str, ended: Ended<'_>) {
        activity.note(Call {
            source: "mcp",
            server,
            tool: "t",
            took: Duration::from_millis(7),
            ended,
        });
    }

    #[test]
    fn the_latest_come_first_and_the_oldest_go() {
        let activity = Activity::default();
        for number in 0..=MOST {
            note(&activity, if number % 2 == 0 { "even" } else { "odd" }, Ended::Success);
        }
        note(&activity, "odd", Ended::Error(&format!("{}\nsecond line", "ä".repeat(300))));
        let list = activity.list(&Wanted {
            limit: 2,
            ..Wanted::default()
        });
        assert_eq!((list.total, list.activities.len()), (MOST, 2));
        let last = &list.activities[0];
        assert_eq!((last.id.as_str(), last.status.as_str(), last.duration_ms), ("1001", "error", 7));
        assert_eq!(last.error_message.as_deref(), Some("ä".repeat(200).as_str()));
        assert!(activity.one("0").is_none() && activity.one("1001").is_some());
        let wanted = Wanted {
            server: Some("odd".to_owned()),
            status: Some("success".to_owned()),
            limit: 1,
            offset: 1,
        };
        let list = activity.list(&wanted);
        assert_eq!((list.total, list.activities[0].id.as_str()), (499, "997"));
        let summary = activity.summary();
        assert_eq!((summary.total_count, summary.success_count, summary.error_count), (MOST, MOST - 1, 1));
        note(&activity, "even", Ended::Blocked("no"));
        let used = activity.used(&[("even", "t"), ("even", "other")]);
        assert_eq!((used[0].map(|used| used.count), used[1]), (Some(MOST as u64 / 2 - 1), None));
        assert_eq!(summary.top_servers.iter().map(|one| one.count).sum::<u64>(), MOST as u64);
    }
}
