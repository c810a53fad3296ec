//! Handles requests about the sender's own id: show the stored data, or delete it.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};

use super::intake::{self, error, json_answer, unavailable};
use super::listener::Answer;
use super::service::{Service, blocking};
use super::state::{locked, read_locked, write_locked};
use crate::collector::lines;
use crate::collector::report::{Id, Moment};
use crate::collector::store::{Entry, Stored};

/// The kind of a request about the sender's own id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Mine,
    Forget,
}

/// Handles a request about an id, which is in the body.
pub(super) async fn of_id(service: Arc<Service>, request: Request<Incoming>, peer: SocketAddr, wish: Wish) -> Answer {
    let source = intake::source(request.headers(), peer, service.options.trust_proxy);
    let body = match intake::body(request).await {
        Ok(body) => body,
        Err(refused) => return refused.answer(),
    };
    let given = serde_json::from_slice::<Value>(&body).ok();
    let text = given.as_ref().and_then(|given| given.get("anonymous_id")).and_then(Value::as_str);
    let Some(id) = text.and_then(Id::from_uuid) else {
        return error(StatusCode::BAD_REQUEST, "not_uuid_v4", "anonymous_id");
    };
    let now = u32::try_from(service.began.elapsed().as_secs()).unwrap_or(u32::MAX);
    let refusal = locked(&service.admission).admit(source, id, false, now).err();
    if let Some(refusal) = refusal {
        let mut answer = error(StatusCode::TOO_MANY_REQUESTS, refusal.reason, "");
        answer.headers_mut().insert(hyper::header::RETRY_AFTER, HeaderValue::from(refusal.retry_after));
        return answer;
    }
    match wish {
        Wish::Mine => mine(service, id).await,
        Wish::Forget => forget(service, id).await,
    }
}

async fn mine(service: Arc<Service>, id: Id) -> Answer {
    settle(&service).await;
    match blocking(move || Ok((service.desk.stored(id)?, read_locked(&service.forgotten).contains(id)))).await {
        Ok((stored, forgotten)) => json_answer(StatusCode::OK, &stored_json(id, &stored, forgotten)),
        Err(failure) => failed(&failure),
    }
}

/// Everything stored under an id.
pub fn stored_json(id: Id, stored: &Stored, forgotten: bool) -> Value {
    let reports: Vec<Value> = stored
        .bodies
        .iter()
        .map(|body| {
            json!({
                "received_at": body.received().to_string(),
                "sent_again_at": body.receipts.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>(),
                "body_hash": format!("{:016x}", body.hash),
                "suspect": body.suspect,
                "clock_off_by_seconds": body.facts.skew,
                "unknown_fields": body.unknown,
                "kept_of_body": lines::reduced(id, body),
            })
        })
        .collect();
    json!({
        "anonymous_id": id.to_uuid(),
        "forgotten": forgotten,
        "opted_out_at": stored.opted_out.map(|at| at.to_string()),
        "reports": reports,
    })
}

async fn forget(service: Arc<Service>, id: Id) -> Answer {
    let worker = Arc::clone(&service);
    let before = blocking(move || {
        let stored = worker.desk.stored(id)?;
        write_locked(&worker.forgotten).add(id).map_err(|error| error.to_string())?;
        Ok(stored)
    });
    let before = match before.await {
        Ok(before) => before,
        Err(failure) => return failed(&failure),
    };
    let at = Moment::now();
    let Ok(position) = service.journal.write(vec![Entry::Forget { id, at }]).await else {
        return unavailable("journal");
    };
    let stored = tokio::time::timeout(std::time::Duration::from_secs(30), service.progress.until_stored(position));
    if stored.await.is_err() {
        // The request is in the journal and takes effect once the database is writable.
        return json_answer(StatusCode::ACCEPTED, &json!({"forgotten": false, "pending": true}));
    }
    let worker = Arc::clone(&service);
    match blocking(move || worker.desk.stored(id)).await {
        Ok(after) => json_answer(
            StatusCode::OK,
            &json!({
                "forgotten": after.bodies.is_empty() && after.opted_out.is_none(),
                "deleted_reports": before.bodies.len(),
                "left": after.bodies.len(),
            }),
        ),
        Err(failure) => failed(&failure),
    }
}

/// Waits briefly until the database has the reports accepted before, so that a sender sees its own report.
pub(super) async fn settle(service: &Service) {
    let end = match service.journal.flush_counts().await {
        Some(position) => position,
        None => service.progress.end(),
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), service.progress.until_stored(end)).await;
}

/// The response if the database cannot be read.
pub(super) fn failed(failure: &str) -> Answer {
    tracing::error!("could not read the database: {failure}");
    unavailable("database")
}
