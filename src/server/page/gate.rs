//! Requires a sign-in and a trusted host name, and sets the headers that protect from other pages.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use crate::server::page::access::{Visitor, cookie, is_known_host, is_same_origin, same};
use crate::server::page::form::Fields;
use crate::server::page::layout::bare;
use crate::server::page::pages::Pages;

/// Maximum size of a form, which may contain a pasted configuration of many servers.
const LONGEST_FORM: usize = 4 << 20;

/// Value of the client header for the web UI's REST requests, by which usage reports count them.
const SURFACE: &str = concat!("webui/", env!("CARGO_PKG_VERSION"));

/// Header of the requests by which `page.js` updates an open page.
const REFRESH: &str = "x-mcpproxy-refresh";

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The fields of an accepted form. Passed in the extensions of the request.
#[derive(Debug, Clone)]
pub(super) struct Submitted(pub Fields);

/// Adds the security headers to every response of the web UI.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let set = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Without a referrer, forms would arrive with `Origin: null`.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests with a foreign host name, to prevent DNS rebinding.
pub(super) async fn check_host(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let host = text(request.headers(), header::HOST.as_str());
    let is_known = pages.hosts.as_ref().is_none_or(|trusted| host.is_some_and(|host| is_known_host(host, trusted)));
    if !is_known {
        let help =
            "Open the web UI by the address that `mcpproxy status` shows, or add this host name to `trusted_hosts`.";
        let contents = html! { h1 { "Unknown host name" } p { (help) } };
        return (StatusCode::FORBIDDEN, bare("Unknown host name", &contents)).into_response();
    }
    next.run(request).await
}

/// Accepts requests with a valid session. Requests with side effects also need the right origin and the token of their
/// form.
pub(super) async fn check_session(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let Some(visitor) = visitor(&pages, request.headers()) else {
        return match *request.method() {
            Method::GET if request.uri().path() == "/ui/events" => StatusCode::UNAUTHORIZED.into_response(),
            _ => (StatusCode::UNAUTHORIZED, sign_in_page(None)).into_response(),
        };
    };
    pages.app.facts.counts().add_rest_request(Some(SURFACE));
    if request.method() == Method::GET || request.method() == Method::HEAD {
        let mut request = request;
        request.extensions_mut().insert(visitor);
        return next.run(request).await;
    }
    match admit(&pages, request).await {
        Ok((fields, mut request)) => {
            if !same(&visitor.form_token, fields.text("form_token")) {
                return refuse("This form is too old. Go back, reload the page and try again.");
            }
            request.extensions_mut().insert(visitor);
            request.extensions_mut().insert(Submitted(fields));
            next.run(request).await
        }
        Err(response) => response,
    }
}

/// Returns the form of a request from one of our pages.
async fn admit(pages: &Pages, request: Request) -> Result<(Fields, Request), Response> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let own = format!("{}://{}", pages.scheme, text(headers, header::HOST.as_str()).unwrap_or_default());
    if !is_same_origin(&own, text(headers, header::ORIGIN.as_str()), text(headers, "sec-fetch-site")) {
        return Err(refuse("This request came from another page."));
    }
    let Ok(body) = to_bytes(body, LONGEST_FORM).await else {
        return Err(refuse("The form is too long."));
    };
    let fields = Fields::parse(&String::from_utf8_lossy(&body));
    Ok((fields, Request::from_parts(parts, Body::empty())))
}

/// Returns the page that asks for the API key.
pub(super) fn sign_in_page(error: Option<&str>) -> maud::Markup {
    let contents = html! {
        h1 { "Sign in to MCPProxy" }
        @if let Some(error) = error { div.notice.bad role="alert" { (error) } }
        p { "Choose " strong { "Open MCPProxy" } " in the tray menu, or run " code { "mcpproxy ui" } " in a terminal." }
        form.fields method="post" action="/ui/sign-in" {
            label { span { "Or paste the API key" small { code { "api_key" } " in " code { "mcp_config.json" } } } input type="password" name="key" required autocomplete="off"; }
            button.primary type="submit" { "Sign in" }
        }
    };
    bare("Sign in", &contents)
}

/// `POST /ui/sign-in`
pub(super) async fn sign_in(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    match admit(&pages, request).await {
        Ok((fields, _)) if same(&pages.app.api_key, fields.text("key")) => {
            welcome(&pages, &pages.app.access.begin(Instant::now()), "/ui/")
        }
        Ok(_) => (StatusCode::UNAUTHORIZED, sign_in_page(Some("This is not the API key."))).into_response(),
        Err(response) => response,
    }
}

/// `GET /ui/open?ticket=…`: exchanges a ticket for a session. The redirect keeps the ticket out of the history.
pub(super) async fn open(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    let target = match query.text("to") {
        // Allows only our pages: no other host, and no backslash, which browsers treat as a slash.
        to if to.starts_with("/ui/") && !to.contains(['\\', '\n', '\r']) => to,
        _ => "/ui/",
    };
    match pages.app.access.redeem(query.text("ticket"), Instant::now()) {
        Some(session) => welcome(&pages, &session, target),
        None if visitor(&pages, request.headers()).is_some() => Redirect::to(target).into_response(),
        None => {
            let page = sign_in_page(Some("This link was used already or is too old. Open MCPProxy again."));
            (StatusCode::UNAUTHORIZED, page).into_response()
        }
    }
}

/// `POST /ui/sign-out`
pub(super) async fn sign_out(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        pages.app.access.end(&visitor.session);
    }
    let gone = format!("{}=; Path=/ui; HttpOnly; SameSite=Strict; Max-Age=0", pages.cookie);
    (with_cookie(&gone), Redirect::to("/ui/")).into_response()
}

fn welcome(pages: &Pages, session: &str, target: &str) -> Response {
    let secure = if pages.scheme == "https" { "; Secure" } else { "" };
    let seconds = crate::server::page::access::SESSION_LIFE.as_secs();
    let value = format!("{}={session}; Path=/ui; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", pages.cookie);
    (with_cookie(&value), Redirect::to(target)).into_response()
}

fn with_cookie(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(header::SET_COOKIE, value);
    }
    headers
}

fn visitor(pages: &Pages, headers: &HeaderMap) -> Option<Visitor> {
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    sent.filter_map(|header| cookie(header, &pages.cookie))
        .find_map(|session| pages.app.access.visitor(session, Instant::now()))
        .map(|visitor| Visitor {
            refreshes: headers.contains_key(REFRESH),
            ..visitor
        })
}

fn refuse(sentence: &str) -> Response {
    let contents = html! { h1 { "Not done" } p { (sentence) } p { a.button href="/ui/" { "Home" } } };
    (StatusCode::FORBIDDEN, bare("Not done", &contents)).into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
