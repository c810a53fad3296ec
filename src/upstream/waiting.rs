//! Who waits for what, and since when: servers that start, and calls in flight. For `mcpproxy doctor`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::os::sync::lock;

/// The event that a server waits for before it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStep {
    Secrets,
    StartSlot,
    Isolation,
    Initialize,
    ToolList,
    NextAttempt,
}

impl ServerStep {
    /// As text for a person.
    pub const fn text(self) -> &'static str {
        match self {
            ServerStep::Secrets => "its secrets from the keychain",
            ServerStep::StartSlot => "other servers to start first",
            ServerStep::Isolation => "its isolation; a container image may be downloaded",
            ServerStep::Initialize => "a reply to `initialize`",
            ServerStep::ToolList => "the list of its tools",
            ServerStep::NextAttempt => "the next attempt",
        }
    }
}

/// The wait of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerWait {
    pub step: ServerStep,
    pub since: Instant,
    /// When MCPProxy gives up, or goes on.
    pub limit: Option<Duration>,
}

impl ServerWait {
    /// One that begins now.
    pub fn new(step: ServerStep, limit: Option<Duration>) -> ServerWait {
        ServerWait {
            step,
            since: Instant::now(),
            limit,
        }
    }
}

/// The event that a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStep {
    /// `max_concurrent_requests` lets no further call run.
    Turn,
    Response,
    /// The server has asked the client a question.
    Client,
}

impl CallStep {
    /// As text for a person.
    pub const fn text(self) -> &'static str {
        match self {
            CallStep::Turn => "other calls to end (`max_concurrent_requests`)",
            CallStep::Response => "the server's response",
            CallStep::Client => "the answer of the AI client to a question of the server",
        }
    }
}

/// A call in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallWait {
    pub server: String,
    /// The tool, prompt or resource.
    pub request: String,
    pub step: CallStep,
    pub since: Instant,
    pub limit: Option<Duration>,
}

/// The calls in flight that go through the library. A call on the fast path joins them after a second.
#[derive(Debug, Default)]
pub struct WaitingCalls {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    waiting: BTreeMap<u64, (CallWait, Option<Arc<AtomicBool>>)>,
}

/// Keeps a call listed until dropped.
#[derive(Debug)]
pub struct Listed {
    calls: Arc<WaitingCalls>,
    number: u64,
}

impl WaitingCalls {
    /// Lists a call that waits for its turn.
    pub fn queued(self: &Arc<WaitingCalls>, server: &str, request: &str) -> Listed {
        self.list(server, request, CallStep::Turn, Instant::now(), None, None)
    }

    /// Lists a call that was sent `since`. `client_owes` is set while its client owes the server an answer.
    pub fn sent(
        self: &Arc<WaitingCalls>,
        server: &str,
        request: &str,
        since: Instant,
        limit: Duration,
        client_owes: Option<Arc<AtomicBool>>,
    ) -> Listed {
        self.list(server, request, CallStep::Response, since, Some(limit), client_owes)
    }

    fn list(
        self: &Arc<WaitingCalls>,
        server: &str,
        request: &str,
        step: CallStep,
        since: Instant,
        limit: Option<Duration>,
        client_owes: Option<Arc<AtomicBool>>,
    ) -> Listed {
        let wait = CallWait {
            server: server.to_owned(),
            request: request.to_owned(),
            step,
            since,
            limit,
        };
        let mut calls = lock(&self.calls);
        let number = calls.next;
        calls.next += 1;
        calls.waiting.insert(number, (wait, client_owes));
        Listed {
            calls: self.clone(),
            number,
        }
    }

    /// The calls that have waited for at least this long, the oldest first.
    pub fn longer_than(&self, least: Duration, now: Instant) -> Vec<CallWait> {
        let calls = lock(&self.calls);
        let long = calls.waiting.values().filter(|(wait, _)| now.saturating_duration_since(wait.since) >= least);
        let mut long: Vec<CallWait> = long
            .map(|(wait, client_owes)| {
                let owes = client_owes.as_ref().is_some_and(|owes| owes.load(Ordering::Relaxed));
                CallWait {
                    step: if owes { CallStep::Client } else { wait.step },
                    ..wait.clone()
                }
            })
            .collect();
        long.sort_by_key(|wait| wait.since);
        long
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.calls.calls).waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_listed_until_it_ends_with_what_it_waits_for() {
        let calls = Arc::<WaitingCalls>::default();
        let start = Instant::now();
        let owes = Arc::new(AtomicBool::new(false));
        let sent = calls.sent("s", "echo", start, Duration::from_secs(60), Some(owes.clone()));
        let _queued = calls.queued("s", "slow");
        let later = start + Duration::from_secs(30);
        let listed = calls.longer_than(Duration::from_secs(2), later);
        let steps: Vec<_> = listed.iter().map(|wait| (wait.request.as_str(), wait.step)).collect();
        assert_eq!(steps, [("echo", CallStep::Response), ("slow", CallStep::Turn)]);
        assert_eq!(calls.longer_than(Duration::from_mins(1), later), []);
        owes.store(true, Ordering::Relaxed);
        assert_eq!(calls.longer_than(Duration::ZERO, later)[0].step, CallStep::Client);
        drop(sent);
        assert_eq!(calls.longer_than(Duration::ZERO, later).len(), 1);
    }
}
