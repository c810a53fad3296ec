//! `/api/v1/sessions`: the sessions of AI clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::contract::api::{McpSession, OneSession, SessionList, SessionStatus};
use crate::contract::failure::FailureKind;
use crate::gateway::http::session_store::SessionFacts;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

/// Default and maximum number of sessions in one response.
const USUAL: usize = 10;
const MOST: usize = 100;
/// A session is closed after this many seconds without a request.
const IDLE: i64 = 30 * 60;

/// Query parameters.
#[derive(Deserialize)]
pub(super) struct Asked {
    status: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

/// `GET /api/v1/sessions`
pub(super) async fn list(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    let status = asked.status.filter(|status| !status.is_empty()).map(|status| SessionStatus::from(status.as_str()));
    if matches!(status, Some(SessionStatus::Unknown(_))) {
        return failed(FailureKind::Invalid, "expected the status `active` or `closed`");
    }
    let now = crate::os::clock::now().as_second();
    let tokens = tokens(&app).await;
    let sessions = app.sessions.list();
    let sessions = sessions.into_iter().map(|facts| shown(facts, &tokens, now));
    let sessions: Vec<McpSession> =
        sessions.filter(|session| status.as_ref().is_none_or(|status| session.status == *status)).collect();
    let limit = asked.limit.filter(|limit| *limit > 0).unwrap_or(USUAL).min(MOST);
    ok(SessionList {
        total: sessions.len(),
        limit,
        offset: asked.offset,
        sessions: sessions.into_iter().skip(asked.offset).take(limit).collect(),
    })
}

/// `GET /api/v1/sessions/{id}`
pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let now = crate::os::clock::now().as_second();
    let tokens = tokens(&app).await;
    match app.sessions.list().into_iter().find(|session| session.label == id) {
        Some(facts) => ok(OneSession {
            session: shown(facts, &tokens, now),
        }),
        None => failed(FailureKind::NotFound, format!("no session has the id `{id}`")),
    }
}

/// Returns the tokens of each session, which wait for the disk.
async fn tokens(app: &App) -> BTreeMap<String, u64> {
    let log = app.activity.clone();
    tokio::task::spawn_blocking(move || log.session_tokens()).await.unwrap_or_default()
}

fn shown(facts: SessionFacts, tokens: &BTreeMap<String, u64>, now: i64) -> McpSession {
    McpSession {
        total_tokens: tokens.get(&facts.label).copied().unwrap_or_default(),
        id: facts.label,
        client_name: facts.client,
        client_version: facts.client_version,
        protocol_version: facts.protocol_version,
        status: if now.saturating_sub(facts.last) < IDLE {
            SessionStatus::Active
        } else {
            SessionStatus::Closed
        },
        start_time: time(facts.opened),
        last_activity: time(facts.last),
        tool_call_count: facts.calls,
        has_roots: facts.has_roots,
        has_sampling: facts.has_sampling,
    }
}

/// Returns the time in RFC 3339; empty for an unknown time.
fn time(second: i64) -> String {
    let known = jiff::Timestamp::from_second(second).ok().filter(|_| second > 0);
    known.map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_closed_after_half_an_hour_and_an_old_one_has_no_times() {
        let facts = |last| SessionFacts {
            label: "a".to_owned(),
            client: "c".to_owned(),
            client_version: "1".to_owned(),
            protocol_version: "2025-06-18".to_owned(),
            has_roots: true,
            has_sampling: false,
            opened: last,
            last,
            calls: 3,
        };
        let now = 1_800_000_000;
        let tokens = BTreeMap::from([("a".to_owned(), 7)]);
        let shown = |facts, now| shown(facts, &tokens, now);
        assert_eq!(shown(facts(now - IDLE + 1), now).status, "active");
        assert_eq!(shown(facts(now - IDLE), now).status, "closed");
        let old = shown(facts(0), now);
        assert_eq!((old.start_time.as_str(), old.status.word(), old.tool_call_count), ("", "closed", 3));
        assert_eq!(shown(facts(now), now).total_tokens, 7);
        assert_eq!(shown(facts(now), now).last_activity, "2027-01-15T08:00:00Z");
    }
}
