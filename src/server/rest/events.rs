//! `/events`: every client gets every event, and after a reconnection the events that it missed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::activity::Change;
use crate::contract::api::{
    ActivityKind, ChangeReason, EVENT_PING, EVENT_SERVERS_CHANGED, EVENT_STATUS, EventBody, Ping, Server, ServerStatus,
    Servers, ServersChanged, Status,
};
use crate::server::state::App;

/// The Go core's interval.
const PING: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(5);
/// With a thousand servers, describing them all takes long. It may take this fraction of the time, so the more servers there are, the
/// more changes are reported together.
const SHARE: u32 = 10;
/// With the times in which changes are gathered, a change is reported within a second if a report takes little time.
const LONGEST_REST: Duration = Duration::from_millis(600);

/// Serves the stream until the core stops: first `status`, or the events after `Last-Event-ID`; then every change, and
/// a `ping` every 30 s.
pub async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let listener = EventListener::new(app, last);
    Sse::new(stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    }))
}

/// Logs an event for every difference whenever the number of changes increases, until the core stops.
pub async fn log_changes(app: Arc<App>, mut changes: watch::Receiver<u64>) {
    let mut ready = app.ready.clone();
    // Changes of other settings and errors in the configuration affect only the status.
    let (mut config, mut config_error) = (app.config.subscribe(), app.config.errors());
    let mut reported = Reported::now(&app);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            changed = ready.changed() => if changed.is_err() { return },
            changed = config.changed() => if changed.is_err() { return },
            changed = config_error.changed() => if changed.is_err() { return },
        }
        let reporting = app.clone();
        let report = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            reported.report(&reporting);
            (reported, began.elapsed())
        });
        // It fails only when the runtime ends.
        let Ok((after, took)) = report.await else { return };
        reported = after;
        if !app.pause(rest(took)).await {
            return;
        }
    }
}

/// How long to wait after a report that took this time.
fn rest(took: Duration) -> Duration {
    took.saturating_mul(SHARE - 1).min(LONGEST_REST)
}

/// The state in the latest events.
struct Reported {
    status: Status,
    servers: Servers,
    outcomes: Outcomes,
}

impl Reported {
    fn now(app: &App) -> Reported {
        let servers = app.servers();
        Reported {
            status: app.status(),
            outcomes: Outcomes::of(&servers),
            servers,
        }
    }

    /// Logs an event for every difference.
    fn report(&mut self, app: &App) {
        let servers = app.servers();
        if servers != self.servers {
            for change in self.outcomes.changes(&servers) {
                app.activity.change(change);
            }
            app.events.add(EVENT_SERVERS_CHANGED, servers_changed(ChangeReason::State, &servers));
            self.servers = servers;
        }
        let status = app.status();
        let same = Status {
            timestamp: status.timestamp,
            status: status.status.clone(),
            ..self.status.clone()
        };
        if status != same || status.status.phase != self.status.status.phase {
            app.events.add(EVENT_STATUS, line(&status));
            self.status = status;
        }
    }
}

/// The latest outcome of each server that was recorded in the activity log.
#[derive(Debug, Default)]
struct Outcomes(BTreeMap<String, Outcome>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// None yet, or none since a restart.
    Unknown,
    Connected,
    /// Failed for this cause: a code, or the error if it has none.
    Failed(String),
}

impl Outcomes {
    fn of(servers: &Servers) -> Outcomes {
        let mut outcomes = Outcomes::default();
        outcomes.changes(servers);
        outcomes
    }

    /// Returns the changes of servers that connected or failed. A retry that fails again is a change only if the cause
    /// differs.
    fn changes(&mut self, now: &Servers) -> Vec<Change> {
        let names: BTreeSet<&str> = now.servers.iter().map(|server| server.name.as_str()).collect();
        self.0.retain(|name, _| names.contains(name.as_str()));
        now.servers.iter().filter_map(|server| self.change(server)).collect()
    }

    fn change(&mut self, server: &Server) -> Option<Change> {
        let before = self.0.get(&server.name).cloned();
        let outcome = match (&server.status, &before) {
            (ServerStatus::Connected, _) => Outcome::Connected,
            (ServerStatus::Error | ServerStatus::Disconnected, _) => Outcome::Failed(cause(server)),
            // The next attempt may fail for the same cause.
            (ServerStatus::Connecting, Some(Outcome::Failed(cause))) => Outcome::Failed(cause.clone()),
            _ => Outcome::Unknown,
        };
        self.0.insert(server.name.clone(), outcome.clone());
        let is_recorded = before.is_some_and(|before| before != outcome) && outcome != Outcome::Unknown;
        is_recorded.then(|| Change {
            kind: ActivityKind::ServerChange,
            server: server.name.clone(),
            failed: !server.connected,
            error: server.last_error.clone().filter(|_| !server.connected),
            details: Some(json!({"state": server.status})),
            ..Change::default()
        })
    }
}

fn cause(server: &Server) -> String {
    let code = server.error_code.as_ref().map(ToString::to_string);
    code.or_else(|| server.last_error.clone()).unwrap_or_default()
}

struct EventListener {
    newest: watch::Receiver<u64>,
    /// The number of the last event that this client received.
    last: u64,
    waiting: VecDeque<Event>,
    ping: Interval,
    app: Arc<App>,
}

impl EventListener {
    fn new(app: Arc<App>, last: Option<&str>) -> EventListener {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listener = EventListener {
            newest: app.events.newest(),
            last: 0,
            waiting: VecDeque::new(),
            ping,
            app,
        };
        match last.map(|id| listener.app.events.number(id)) {
            Some(Some(number)) => listener.last = number,
            // The ID comes from another process, so the missed events are unknown.
            Some(None) => listener.send_state(true),
            None => listener.send_state(false),
        }
        if let Some(first) = listener.waiting.pop_front() {
            listener.waiting.push_front(first.retry(RETRY));
        }
        listener
    }

    /// Sends the current state instead of the missed events.
    fn send_state(&mut self, whole: bool) {
        // Reads the number first: a simultaneous change is then reported twice rather than never.
        self.last = *self.newest.borrow_and_update();
        let id = self.app.events.id(self.last);
        self.waiting.push_back(event(EVENT_STATUS, line(&self.app.status())).id(&id));
        if whole {
            let data = servers_changed(ChangeReason::Resync, &self.app.servers());
            self.waiting.push_back(event(EVENT_SERVERS_CHANGED, data).id(id));
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            self.newest.mark_unchanged();
            match self.app.events.after(self.last) {
                Ok(Some(logged)) => {
                    self.last = logged.number();
                    let id = self.app.events.id(self.last);
                    return Some(event(logged.name, logged.data.clone()).id(id));
                }
                // The client reads too slowly, so the event was dropped.
                Err(_) => {
                    self.send_state(true);
                    continue;
                }
                Ok(None) => {}
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                _ = self.ping.tick() => return Some(event(EVENT_PING, line(&Ping { timestamp: now() }))),
                changed = self.newest.changed() => changed.ok()?,
            }
        }
    }
}

fn servers_changed(reason: ChangeReason, servers: &Servers) -> String {
    let payload = ServersChanged {
        reason,
        servers: servers.clone(),
    };
    let timestamp = now();
    line(&EventBody { payload, timestamp })
}

fn event(name: &str, data: String) -> Event {
    Event::default().event(name).data(data)
}

/// Serializes our own types, which never fails, on one line.
fn line<T: Serialize>(data: &T) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

fn now() -> i64 {
    crate::os::clock::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(status: &str, code: Option<&str>, error: Option<&str>) -> Servers {
        Servers {
            servers: vec![Server {
                name: "s".to_owned(),
                status: status.into(),
                connected: status == "connected",
                error_code: code.map(Into::into),
                last_error: error.map(str::to_owned),
                ..Server::default()
            }],
            ..Servers::default()
        }
    }

    #[test]
    fn reports_about_many_servers_leave_time_for_calls() {
        assert_eq!(rest(Duration::from_millis(2)), Duration::from_millis(18));
        assert_eq!(rest(Duration::from_secs(5)), LONGEST_REST);
    }

    #[test]
    fn a_failure_is_recorded_once_and_a_retry_only_if_it_fails_for_another_cause() {
        let (missing, refused) = (Some("MCPX_MISSING"), Some("MCPX_REFUSED"));
        let steps = [
            at("connecting", None, None),
            at("error", missing, Some("not found")),
            at("connecting", missing, Some("not found")),
            at("error", missing, Some("not found (2 attempts failed)")),
            at("connecting", Some("MCPX_SLOW"), Some("not found (2 attempts failed)")),
            at("error", missing, Some("not found (3 attempts failed)")),
            at("connecting", missing, Some("not found (3 attempts failed)")),
            at("error", refused, Some("refused")),
            at("connecting", refused, Some("refused")),
            at("connected", None, None),
            at("connecting", None, None),
            at("connected", None, None),
            at("error", None, Some("ended")),
        ];
        let mut outcomes = Outcomes::of(&steps[0]);
        let recorded: Vec<(usize, bool)> = (1..steps.len())
            .flat_map(|step| outcomes.changes(&steps[step]).into_iter().map(move |one| (step, one.failed)))
            .collect();
        assert_eq!(recorded, [(1, true), (7, true), (9, false), (11, false), (12, true)]);
    }
}
