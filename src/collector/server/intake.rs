//! Accepts one report: checks the request, judges the body, applies the limits, and responds once the journal has it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::listener::Answer;
use super::service::Service;
use super::state::{locked, read_locked};
use crate::collector::judge::{LONGEST_BODY, Rejection, Verdict, judge};
use crate::collector::report::{Day, Id, Moment, Report};
use crate::collector::store::Entry;

/// Time limit for receiving a body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Seconds after which a sender should retry when the collector fails.
const AFTER_FAILURE: u32 = 60;

/// Handles `POST …/heartbeat`.
pub(super) async fn heartbeat(service: &Service, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    let received = Moment::now();
    let source = source(request.headers(), peer, service.options.trust_proxy);
    let body = match body(request).await {
        Ok(body) => body,
        Err(refused) => {
            count_rejection(service, received, refused.reason);
            return refused.answer();
        }
    };
    match judge(&body, received) {
        Verdict::Rejected(rejection) => {
            count_rejection(service, received, rejection.reason);
            rejection_answer(&rejection)
        }
        Verdict::OptOut(id) => {
            if let Some(refused) = refuse(service, source, id, false, received) {
                return refused;
            }
            accept(service, vec![Entry::OptOut { id, received }]).await
        }
        Verdict::Report(judged) => {
            let is_new = !locked(&service.seen).contains(judged.id);
            if let Some(refused) = refuse(service, source, judged.id, is_new, received) {
                return refused;
            }
            let suspect = is_new && count_new(service, judged.id, received);
            let report = Report {
                id: judged.id,
                machine: judged.machine,
                received,
                hash: judged.hash,
                suspect,
                facts: judged.facts,
                unknown: judged.unknown,
            };
            accept(service, vec![Entry::Report(Box::new(report))]).await
        }
    }
}

/// A request refused before its body is judged.
#[derive(Debug)]
pub(super) struct Refused {
    pub status: StatusCode,
    pub reason: &'static str,
}

impl Refused {
    /// The response. Closes the connection, because the body may not have been read.
    pub(super) fn answer(&self) -> Answer {
        let mut answer = error(self.status, self.reason, "");
        answer.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        answer
    }
}

/// Reads the JSON body of a POST.
///
/// # Errors
/// The reason for the refusal.
pub(super) async fn body(request: Request<Incoming>) -> Result<Bytes, Refused> {
    let refuse = |status, reason| Err(Refused { status, reason });
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "method");
    }
    if parts.headers.get(CONTENT_LENGTH).is_none() {
        return refuse(StatusCode::LENGTH_REQUIRED, "length");
    }
    // The collector never decompresses, so that no body can expand.
    let is_packed = parts.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if is_packed || !is_json(&parts.headers) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type");
    }
    if body.size_hint().lower() > LONGEST_BODY as u64 {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "oversize");
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, LONGEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "oversize")
        }
        Ok(Err(_)) => refuse(StatusCode::BAD_REQUEST, "incomplete"),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "slow"),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The address of the sender. Trusts a forwarded address only behind a known proxy, which appends the last one itself.
pub(super) fn source(headers: &HeaderMap, peer: SocketAddr, trust_proxy: bool) -> IpAddr {
    const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
    if trust_proxy
        && let Some(text) = headers.get_all(FORWARDED).iter().next_back().and_then(|value| value.to_str().ok())
        && let Some(address) = text.rsplit(',').next().and_then(|address| forwarded(address.trim()))
    {
        return address;
    }
    peer.ip()
}

/// An address with or without a port: some proxies add one.
fn forwarded(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn refuse(service: &Service, source: IpAddr, id: Id, is_new: bool, received: Moment) -> Option<Answer> {
    if read_locked(&service.forgotten).contains(id) {
        service.journal.count(Day::of(received), "refused:forgotten".to_owned());
        service.meters.rejected();
        return Some(error(StatusCode::BAD_REQUEST, "forgotten", "anonymous_id"));
    }
    let now = u32::try_from(service.began.elapsed().as_secs()).unwrap_or(u32::MAX);
    let refusal = locked(&service.admission).admit(source, id, is_new, now).err()?;
    service.journal.count(Day::of(received), format!("refused:{}", refusal.reason));
    service.meters.refused();
    let mut answer = error(StatusCode::TOO_MANY_REQUESTS, refusal.reason, "");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(refusal.retry_after));
    Some(answer)
}

/// Counts a new id. Returns whether it is part of a flood.
fn count_new(service: &Service, id: Id, received: Moment) -> bool {
    if locked(&service.seen).insert(id) {
        return false;
    }
    let hour = u32::try_from(received.0 / 3_600_000).unwrap_or(0);
    service.journal.count(Day::of(received), format!("new_ids:{:02}", hour % 24));
    locked(&service.flood).count(hour)
}

async fn accept(service: &Service, entries: Vec<Entry>) -> Answer {
    if service.is_backlog_full() {
        service.meters.unavailable();
        return unavailable("database");
    }
    match service.journal.write(entries).await {
        Ok(_) => {
            service.meters.accepted();
            empty(StatusCode::NO_CONTENT)
        }
        Err(_) => {
            service.meters.unavailable();
            unavailable("journal")
        }
    }
}

fn count_rejection(service: &Service, received: Moment, reason: &'static str) {
    service.journal.count(Day::of(received), format!("rejected:{reason}"));
    service.meters.rejected();
}

fn rejection_answer(rejection: &Rejection) -> Answer {
    error(StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::BAD_REQUEST), rejection.reason, &rejection.field)
}

/// The response while the collector cannot store reports.
pub(super) fn unavailable(reason: &str) -> Answer {
    let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, reason, "");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(AFTER_FAILURE));
    answer
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// A response `{reason, field}`.
pub(super) fn error(status: StatusCode, reason: &str, field: &str) -> Answer {
    json_answer(status, &json!({"reason": reason, "field": field}))
}

/// A response with JSON.
pub(super) fn json_answer(status: StatusCode, value: &serde_json::Value) -> Answer {
    bytes(status, "application/json", value.to_string().into_bytes())
}

/// A response with bytes of a media type.
pub(super) fn bytes(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Answer {
    let mut answer = Answer::new(Bytes::from(bytes).into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(hyper::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(hyper::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
