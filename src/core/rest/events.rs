//! `/events`: every listener has its own view of the changes, so none takes an event from another.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::contract::api::{EVENT_PING, EVENT_SERVERS_CHANGED, EVENT_STATUS, EventBody, Servers, Status};
use crate::core::app::App;

/// The existing core's rhythm (contract: core-http §8).
const PING: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(5);

/// Serves the stream: `status` at once, then what changes, then a `ping` every 30 s, until the core stops.
pub async fn events(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listener = Listener::new(app);
    Sse::new(stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    }))
}

struct Listener {
    changes: watch::Receiver<u64>,
    ping: Interval,
    waiting: VecDeque<Event>,
    servers: Servers,
    status: Status,
    app: Arc<App>,
}

impl Listener {
    fn new(app: Arc<App>) -> Listener {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = app.changes.clone();
        changes.mark_unchanged();
        let (status, servers) = (app.status(), app.servers());
        let first = event(EVENT_STATUS, &status).retry(RETRY);
        Listener {
            changes,
            ping,
            waiting: VecDeque::from([first]),
            servers,
            status,
            app,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                _ = self.ping.tick() => return Some(event(EVENT_PING, &json!({"timestamp": now()}))),
                changed = self.changes.changed() => {
                    changed.ok()?;
                    self.collect();
                }
            }
        }
    }

    /// Queues what is different from what this listener was last told.
    fn collect(&mut self) {
        let servers = self.app.servers();
        if servers != self.servers {
            let payload = json!({"reason": "state", "servers": servers.servers, "stats": servers.stats});
            let body = EventBody {
                payload,
                timestamp: now(),
            };
            self.waiting.push_back(event(EVENT_SERVERS_CHANGED, &body));
            self.servers = servers;
        }
        let mut status = self.app.status();
        let same = Status {
            timestamp: status.timestamp,
            status: status.status.clone(),
            ..self.status.clone()
        };
        if status != same || status.status.phase != self.status.status.phase {
            self.waiting.push_back(event(EVENT_STATUS, &status));
            std::mem::swap(&mut self.status, &mut status);
        }
    }
}

fn event<T: Serialize>(name: &str, data: &T) -> Event {
    // Our own types always serialise, and on one line.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
