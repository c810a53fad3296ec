//! The activity log over REST.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio_stream::wrappers::ReceiverStream;

use crate::activity::{ActivityLog, Filter, Format, UsageWindow};
use crate::contract::api::{ActivityKind, ActivityPurged, ActivityStatus, OneActivity};
use crate::contract::failure::FailureKind;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;

/// Default and maximum number of records in one response.
const USUAL: usize = 50;
const MOST: usize = 1000;
/// Size of the parts in which an export is prepared, in bytes.
const CHUNK: usize = 64 * 1024;

/// Query parameters.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ActivityQuery {
    /// Types, separated by commas.
    #[serde(rename = "type")]
    kinds: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    status: Option<String>,
    client: Option<String>,
    session_id: Option<String>,
    sensitive_data: Option<bool>,
    /// RFC 3339.
    start_time: Option<String>,
    end_time: Option<String>,
    /// Text in names and errors.
    q: Option<String>,
    /// Records before this ID.
    before: Option<u64>,
    #[serde(default)]
    exclude_payloads: bool,
    /// Answers with 0 as `total`, which is faster with a filter.
    #[serde(default)]
    exclude_total: bool,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
    /// For an export: `jsonl` or `csv`.
    format: Option<String>,
    /// For usage: `1h`, `24h`, `7d` or `30d`.
    window: Option<String>,
    /// For usage: maximum number of tools. 0 is much faster than all.
    top: Option<usize>,
}

impl ActivityQuery {
    /// Returns the filter.
    ///
    /// # Errors
    /// A message about the first invalid value.
    pub fn filter(&self) -> Result<Filter, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let time = |name: &str, text: &Option<String>| match given(text) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|error| {
                format!("invalid `{name}` `{text}`: {error}; expected a time such as 2026-01-31T12:00:00Z")
            }),
        };
        let kinds = self.kinds.as_deref().unwrap_or_default().split(',').map(str::trim);
        Ok(Filter {
            kinds: kinds.filter(|kind| !kind.is_empty()).map(ActivityKind::from).collect(),
            server: given(&self.server),
            tool: given(&self.tool),
            status: given(&self.status).map(|status| ActivityStatus::from(status.as_str())),
            client: given(&self.client),
            session: given(&self.session_id),
            sensitive: self.sensitive_data,
            since: time("start_time", &self.start_time)?,
            until: time("end_time", &self.end_time)?,
            text: given(&self.q),
            before: self.before,
        })
    }
}

/// `GET /api/v1/activity`
pub async fn list(State(app): State<Arc<App>>, Query(query): Query<ActivityQuery>) -> Response {
    let limit = query.limit.unwrap_or(USUAL).min(MOST);
    with_filter(&app, &query, move |log, filter| {
        let mut found = match query.exclude_total {
            true => log.page(filter, limit, query.offset),
            false => log.list(filter, limit, query.offset),
        };
        if query.exclude_payloads {
            for record in &mut found.activities {
                (record.arguments, record.response) = (None, None);
            }
        }
        ok(found)
    })
    .await
}

/// `GET /api/v1/activity/{id}`
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    with_log(&app, move |log| match log.get(&id) {
        Some(activity) => ok(OneActivity { activity }),
        None => failed(FailureKind::NotFound, format!("there is no activity with the ID `{id}`")),
    })
    .await
}

/// `GET /api/v1/activity/summary`
pub async fn summary(State(app): State<Arc<App>>, Query(query): Query<ActivityQuery>) -> Response {
    let days = app.config.current().activity_retention().days;
    with_filter(&app, &query, move |log, filter| ok(log.summary(filter, &format!("the last {days} days")))).await
}

/// `GET /api/v1/activity/usage`
pub async fn usage(State(app): State<Arc<App>>, Query(query): Query<ActivityQuery>) -> Response {
    let word = query.window.as_deref().unwrap_or("24h");
    let Some(window) = UsageWindow::of(word) else {
        return failed(FailureKind::Invalid, format!("unknown `window` `{word}`; use 1h, 24h, 7d or 30d"));
    };
    with_log(&app, move |log| {
        let mut usage = log.usage(window, query.top == Some(0));
        usage.tools.truncate(query.top.unwrap_or(usize::MAX));
        usage.servers.truncate(query.top.unwrap_or(usize::MAX));
        ok(usage)
    })
    .await
}

/// `GET /api/v1/activity/export`
pub async fn export(State(app): State<Arc<App>>, Query(query): Query<ActivityQuery>) -> Response {
    let word = query.format.as_deref().unwrap_or("jsonl");
    let Some(format) = Format::of(word) else {
        return failed(FailureKind::Invalid, format!("unknown `format` `{word}`; use jsonl or csv"));
    };
    let filter = match query.filter() {
        Ok(filter) => filter,
        Err(sentence) => return failed(FailureKind::Invalid, sentence),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let log = app.activity.clone();
    tokio::task::spawn_blocking(move || {
        let mut chunk = format.heading().to_owned();
        let mut is_open = true;
        log.each(&filter, |record| {
            chunk.push_str(&format.line(&record));
            if chunk.len() >= CHUNK {
                is_open =
                    sender.blocking_send(Ok::<_, std::io::Error>(Bytes::from(std::mem::take(&mut chunk)))).is_ok();
            }
            is_open
        });
        if is_open {
            let _ = sender.blocking_send(Ok(Bytes::from(chunk)));
        }
    });
    let name = if format == Format::Csv { "activity.csv" } else { "activity.jsonl" };
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

/// `POST /api/v1/activity/purge`
pub async fn purge(State(app): State<Arc<App>>) -> Response {
    with_log(&app, |log| match log.purge() {
        Ok(removed) => ok(ActivityPurged { removed }),
        Err(error) => failed(FailureKind::Internal, format!("could not delete the activity: {error}")),
    })
    .await
}

async fn with_filter(
    app: &App,
    query: &ActivityQuery,
    answer: impl FnOnce(&ActivityLog, &Filter) -> Response + Send + 'static,
) -> Response {
    match query.filter() {
        Ok(filter) => with_log(app, move |log| answer(log, &filter)).await,
        Err(sentence) => failed(FailureKind::Invalid, sentence),
    }
}

/// Reads the log on a blocking thread, because it waits for the disk.
pub async fn with_log(app: &App, answer: impl FnOnce(&ActivityLog) -> Response + Send + 'static) -> Response {
    let log = app.activity.clone();
    let answered = tokio::task::spawn_blocking(move || answer(&log)).await;
    answered.unwrap_or_else(|error| failed(FailureKind::Internal, error.to_string()))
}
