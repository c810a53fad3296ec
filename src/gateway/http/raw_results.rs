//! Passes on results that the library's types cannot represent, exactly as the server sent them.
//!
//! A handler can only return the library's types. It returns a placeholder, which this middleware replaces by the raw
//! result in the HTTP response.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use rmcp::model::{Extensions, JsonObject, MetaObject};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::contract::exact_numbers::{hold, restored};

/// The longest request whose arguments are prepared, in bytes.
const LONGEST_REQUEST: usize = 1 << 20;
/// Key in the `_meta` of a placeholder. It is random: a server must not be able to hide a result in another one.
static MARKER: LazyLock<String> = LazyLock::new(|| format!("mcpproxy/raw-{}", uuid::Uuid::new_v4().simple()));

/// Whether the response to a request contains a placeholder.
#[derive(Clone, Default)]
struct HasPlaceholder(Arc<AtomicBool>);

/// The `_meta` of the placeholder for a raw result. It contains the result, because a client may resume a broken stream with another
/// request.
pub fn placeholder(extensions: &Extensions, result: Value) -> MetaObject {
    if let Some(found) = extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<HasPlaceholder>()) {
        found.0.store(true, Ordering::Relaxed);
    }
    MetaObject(JsonObject::from_iter([(MARKER.clone(), result)]))
}

/// Replaces the placeholder in a message by the raw result; `None` if the message has no placeholder.
fn replace(message: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(message, MARKER.as_bytes())?;
    let mut message: Value = serde_json::from_slice(message).ok()?;
    let placeholder = message.get_mut("result")?;
    let mut result = placeholder.get_mut("_meta")?.as_object_mut()?.shift_remove(MARKER.as_str())?;
    if let Some(result) = result.as_object_mut() {
        // The library knows whether the client's protocol version has this member.
        match placeholder.get("resultType") {
            Some(kind) => result.entry("resultType").or_insert_with(|| kind.clone()),
            None => &mut result.shift_remove("resultType").unwrap_or_default(),
        };
    }
    *placeholder = result;
    serde_json::to_vec(&message).ok().map(restored)
}

/// Prepares a request, because the library would change some numbers among a tool's arguments.
async fn with_exact_numbers(request: Request) -> Request {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if request.method() != Method::POST || length.is_none_or(|length| length > LONGEST_REQUEST) {
        return request;
    }
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, LONGEST_REQUEST).await.unwrap_or_default();
    match held_arguments(&body) {
        Some(held) => {
            parts.headers.insert(CONTENT_LENGTH, held.len().into());
            Request::from_parts(parts, held.into())
        }
        None => Request::from_parts(parts, body.into()),
    }
}

/// The request with those numbers held; `None` if there are none.
pub fn held_arguments(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        params: Params<'a>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        arguments: &'a RawValue,
    }
    let arguments = serde_json::from_slice::<Call<'_>>(body).ok()?.params.arguments.get();
    let Cow::Owned(held) = hold(arguments) else { return None };
    let start = arguments.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    Some(
        [
            body.get(..start)?,
            held.as_bytes(),
            body.get(start + arguments.len()..)?,
        ]
        .concat(),
    )
}

/// Replaces the placeholder in an SSE event, which the library sends as one frame.
fn replace_in_event(event: &Bytes) -> Option<Bytes> {
    memchr::memmem::find(event, MARKER.as_bytes())?;
    let mut replaced = Vec::new();
    let mut found = false;
    for line in event.split_inclusive(|byte| *byte == b'\n') {
        let data = line.strip_prefix(b"data:").and_then(|data| replace(data.trim_ascii()));
        match data {
            Some(data) => {
                found = true;
                replaced.extend_from_slice(b"data: ");
                replaced.extend(data);
                replaced.push(b'\n');
            }
            None => replaced.extend_from_slice(line),
        }
    }
    found.then(|| replaced.into())
}

/// Passes the request on, and inserts a raw result into the response.
pub async fn raw_results(mut request: Request, next: Next) -> Response {
    let found = HasPlaceholder::default();
    request.extensions_mut().insert(found.clone());
    // Such a stream may repeat the response to an earlier request.
    let resumes = request.method() == Method::GET;
    let response = next.run(with_exact_numbers(request).await).await;
    let is_stream =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return response.map(|body| {
            let replaced = move |event: Bytes| match resumes || found.0.load(Ordering::Relaxed) {
                true => replace_in_event(&event).unwrap_or(event),
                false => event,
            };
            Body::new(body.map_frame(move |frame| frame.map_data(&replaced)))
        });
    }
    if !found.0.load(Ordering::Relaxed) || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let replaced = replace(&body).map_or(body, Bytes::from);
    Response::from_parts(parts, Body::from(replaced))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_raw_result_takes_the_place_of_its_placeholder_only() {
        let raw: Value =
            serde_json::from_str(r#"{"content":[{"type":"resource_link","uri":"shots://884","n":1.50}]}"#).unwrap();
        let other = Bytes::from("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n");
        assert_eq!(replace_in_event(&other), None);
        let meta = placeholder(&Extensions::default(), raw.clone());
        let message = json!({"jsonrpc": "2.0", "id": 3, "result": {"content": [], "_meta": meta}});
        let event = Bytes::from(format!("id: 1/0\ndata: {message}\n\n"));
        let replaced = replace_in_event(&event).unwrap();
        let text = std::str::from_utf8(&replaced).unwrap();
        assert_eq!(text, format!("id: 1/0\ndata: {}\n\n", json!({"jsonrpc": "2.0", "id": 3, "result": raw})));
        let quoted =
            json!({"jsonrpc": "2.0", "id": 3, "result": {"content": [{"type": "text", "text": MARKER.as_str()}]}});
        assert_eq!(replace_in_event(&Bytes::from(format!("data: {quoted}\n\n"))), None);
    }

    #[test]
    fn only_arguments_with_such_numbers_are_prepared() {
        let body = |arguments: &str| {
            format!(r#"{{"id":1E2,"method":"tools/call","params":{{"arguments": {arguments} ,"name":"t"}}}}"#)
        };
        for arguments in [r#"{"n":1e400}"#, "[2E5, {}]"] {
            let held = held_arguments(body(arguments).as_bytes()).unwrap();
            assert!(held.starts_with(br#"{"id":1E2,"#) && held.ends_with(br#" ,"name":"t"}}"#));
            assert_eq!(restored(held.clone()), body(arguments).as_bytes());
            assert!(serde_json::from_slice::<Value>(&held).is_ok());
        }
        assert_eq!(held_arguments(body(r#"{"n":1.50,"t":"1E5"}"#).as_bytes()), None);
        assert_eq!(held_arguments(b"{"), None);
    }

    #[test]
    fn the_result_type_is_that_of_the_clients_protocol_version() {
        for (placeholder, expected) in [
            (json!({"_meta": {(MARKER.as_str()): {"content": 1}}}), json!({"content": 1})),
            (
                json!({"_meta": {(MARKER.as_str()): {"content": 1}}, "resultType": "complete"}),
                json!({"content": 1, "resultType": "complete"}),
            ),
        ] {
            let replaced = replace(json!({"result": placeholder}).to_string().as_bytes()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&replaced).unwrap()["result"], expected);
        }
    }
}
