//! `/api/v1/takeover`: the result of taking over the Go core's data directory, and another attempt at an incomplete
//! takeover.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;

use crate::contract::api::{Takeover, TakeoverRequest};
use crate::contract::failure::FailureKind;
use crate::server::rest::response::{failed, ok};
use crate::server::state::App;
use crate::server::take_over::{self, State as TakeOverState};
use crate::takeover::record::Record;

pub(super) async fn show(State(app): State<Arc<App>>) -> Response {
    let root = app.root.clone();
    let record = tokio::task::spawn_blocking(move || take_over::read_record(&root)).await;
    ok(shown(record.ok().flatten().as_ref()))
}

/// `{"shown": true}`: the user has seen the report. `{"retry": true}`: tries again to read the missing data.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    body: Result<Json<TakeoverRequest>, JsonRejection>,
) -> Response {
    let request = body.map(|Json(body)| body).unwrap_or_default();
    let outcome = match (request.shown, request.retry) {
        (true, _) => note_shown(&app).await,
        (false, true) => retry(&app).await,
        (false, false) => {
            return failed(FailureKind::Invalid, "expected `{\"shown\": true}` or `{\"retry\": true}`");
        }
    };
    match outcome {
        Ok(record) => ok(shown(record.as_ref())),
        Err(error) => failed(FailureKind::Internal, error),
    }
}

async fn note_shown(app: &Arc<App>) -> Result<Option<Record>, String> {
    let root = app.root.clone();
    let noted = tokio::task::spawn_blocking(move || {
        let Some(mut record) = take_over::read_record(&root) else { return Ok(None) };
        record.shown = true;
        take_over::write_record(&root, &record).map(|()| Some(record))
    });
    noted.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

async fn retry(app: &Arc<App>) -> Result<Option<Record>, String> {
    let (root, store) = (app.root.clone(), app.config.store().clone());
    let now = crate::os::clock::now().to_string();
    let taken = tokio::task::spawn_blocking(move || take_over::take_over(&root, &store, now));
    let state = taken.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let TakeOverState::Done(record) = state else { return Ok(None) };
    if record.complete {
        // Lists the servers again, because their tools were compared without the missing approvals.
        app.upstreams.approvals().import_again(&app.root.takeover_approvals());
        app.config.reload().await;
        for server in &record.plan.servers {
            app.upstreams.restart(&server.name);
        }
    }
    Ok(Some(*record))
}

fn shown(record: Option<&Record>) -> Takeover {
    record.map_or_else(Takeover::default, |record| Takeover {
        taken_over_at: Some(record.taken_over_at.clone()),
        complete: record.complete,
        shown: record.shown,
        summary: record.plan.summary(),
        text: record.plan.text(),
        plan: serde_json::to_value(&record.plan).unwrap_or_default(),
    })
}
