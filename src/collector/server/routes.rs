//! Routes requests on the public listener and on the operator's listener.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_SECURITY_POLICY, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use subtle::ConstantTimeEq;

use super::intake::{self, bytes, error, json_answer};
use super::listener::Answer;
use super::own_data::{Wish, failed, of_id, settle};
use super::publish;
use super::service::{Service, blocking};
use crate::collector::audience::Audience;
use crate::collector::report::Day;

/// Handles a request on the public listener.
pub(super) async fn public(service: Arc<Service>, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/v1/heartbeat" | "/heartbeat" => intake::heartbeat(&service, request, peer).await,
        "/v1/mine" => of_id(service, request, peer, Wish::Mine).await,
        "/v1/forget" => of_id(service, request, peer, Wish::Forget).await,
        path => match reading(&request) {
            Err(answer) => *answer,
            Ok(()) => public_page(service, &request, path).await,
        },
    }
}

async fn public_page(service: Arc<Service>, request: &Request<Incoming>, path: &str) -> Answer {
    match path {
        "/" => page(service, request, true).await,
        "/v1/stats" => match is_operator(&service, request) {
            true => stats(service, request).await,
            false => {
                let mut answer = error(StatusCode::UNAUTHORIZED, "key", "authorization");
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
        },
        "/favicon.ico" => intake::empty(StatusCode::NO_CONTENT),
        path => match path.strip_prefix("/public/") {
            Some(name) => publish::answer(service, name.to_owned()).await,
            None => error(StatusCode::NOT_FOUND, "path", ""),
        },
    }
}

/// Handles a request on the operator's listener, which serves only this computer.
pub(super) async fn admin(service: Arc<Service>, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    // A foreign web page in a browser on this computer must not read the figures through a host name that resolves to
    // it.
    if !is_own_host(&request) {
        return error(StatusCode::FORBIDDEN, "host", "host");
    }
    if request.uri().path() == "/v1/forget" {
        return of_id(service, request, peer, Wish::Forget).await;
    }
    if let Err(answer) = reading(&request) {
        return *answer;
    }
    match request.uri().path() {
        "/" => page(service, &request, false).await,
        "/v1/stats" => stats(service, &request).await,
        "/healthz" => bytes(StatusCode::OK, "text/plain; charset=utf-8", b"ok\n".to_vec()),
        "/readyz" => match service.failure() {
            None => bytes(StatusCode::OK, "text/plain; charset=utf-8", b"ready\n".to_vec()),
            Some(failure) => {
                bytes(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", format!("{failure}\n").into_bytes())
            }
        },
        "/metrics" => {
            let text = blocking(move || Ok(service.metrics())).await;
            match text {
                Ok(text) => bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()),
                Err(failure) => failed(&failure),
            }
        }
        _ => error(StatusCode::NOT_FOUND, "path", ""),
    }
}

fn reading(request: &Request<Incoming>) -> Result<(), Box<Answer>> {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(());
    }
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method", "");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Err(Box::new(answer))
}

fn is_own_host(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(hyper::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

fn is_operator(service: &Service, request: &Request<Incoming>) -> bool {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    key.as_bytes().ct_eq(service.stats_key.as_bytes()).into()
}

fn query<'a>(request: &'a Request<Incoming>, name: &str) -> &'a str {
    let query = request.uri().query().unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn audience(request: &Request<Incoming>) -> Result<Audience, Box<Answer>> {
    Audience::parse(query(request, "who"), query(request, "os"))
        .ok_or_else(|| Box::new(error(StatusCode::BAD_REQUEST, "audience", "who")))
}

async fn page(service: Arc<Service>, request: &Request<Incoming>, is_public: bool) -> Answer {
    let audience = match audience(request) {
        Ok(audience) => audience,
        Err(answer) => return *answer,
    };
    let is_public = is_public && !is_operator(&service, request);
    settle(&service).await;
    let page = blocking(move || Ok(service.desk.snapshot()?.page(audience, is_public))).await;
    match page {
        Ok(page) => {
            let mut answer = bytes(StatusCode::OK, "text/html; charset=utf-8", page.as_ref().clone());
            let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            answer.headers_mut().insert(hyper::header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            answer
        }
        Err(failure) => failed(&failure),
    }
}

async fn stats(service: Arc<Service>, request: &Request<Incoming>) -> Answer {
    let audience = match audience(request) {
        Ok(audience) => audience,
        Err(answer) => return *answer,
    };
    let until = match query(request, "until") {
        "" => None,
        text => match Day::parse(text) {
            Some(day) => Some(day),
            None => return error(StatusCode::BAD_REQUEST, "day", "until"),
        },
    };
    settle(&service).await;
    let figures = blocking(move || match until {
        None => Ok(service.desk.snapshot()?.stats.to_json(audience)),
        Some(until) => Ok(service.desk.as_of(until)?.to_json(audience)),
    });
    match figures.await {
        Ok(figures) => json_answer(StatusCode::OK, &figures),
        Err(failure) => failed(&failure),
    }
}
