//! Passes on results that the library's types cannot represent, exactly as the server sent them.
//!
//! A handler can only return the library's types. It returns a placeholder, which this middleware replaces by the raw
//! result in the HTTP response.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use rmcp::model::{Extensions, JsonObject, MetaObject};
use serde_json::Value;

/// Key in the `_meta` of a placeholder.
const MARKER: &str = "mcpproxy/raw";

/// Transfers a raw result from the handler of an HTTP request to its response.
#[derive(Clone, Default)]
pub struct RawResult(Arc<Mutex<Option<Value>>>);

impl RawResult {
    /// Stores a raw result for the response to this request; returns the `_meta` of its placeholder.
    pub fn put(extensions: &Extensions, result: Value) -> MetaObject {
        let slot = extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<RawResult>());
        if let Some(slot) = slot {
            *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
        MetaObject(JsonObject::from_iter([(MARKER.to_owned(), Value::Bool(true))]))
    }

    fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Replaces the placeholder in a message by the raw result; `None` if the message has no placeholder.
    fn replace(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref()?;
        let mut message: Value = serde_json::from_slice(message).ok()?;
        let placeholder = message.get_mut("result")?;
        placeholder.get("_meta")?.get(MARKER)?;
        let mut result = slot.take()?;
        if let Some(result) = result.as_object_mut() {
            // The library knows whether the client's protocol version has this member.
            match placeholder.get("resultType") {
                Some(kind) => result.entry("resultType").or_insert_with(|| kind.clone()),
                None => &mut result.shift_remove("resultType").unwrap_or_default(),
            };
        }
        *placeholder = result;
        serde_json::to_vec(&message).ok()
    }

    /// Replaces the placeholder in an SSE event, which the library sends as one frame.
    fn replace_in_event(&self, event: &Bytes) -> Option<Bytes> {
        if !self.is_set() {
            return None;
        }
        let mut replaced = Vec::new();
        let mut found = false;
        for line in event.split_inclusive(|byte| *byte == b'\n') {
            let data = line.strip_prefix(b"data:").and_then(|data| self.replace(data.trim_ascii()));
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
}

/// Passes the request on, and inserts a raw result into the response.
pub async fn raw_results(mut request: Request, next: Next) -> Response {
    let slot = RawResult::default();
    request.extensions_mut().insert(slot.clone());
    let response = next.run(request).await;
    let is_stream =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return response.map(|body| {
            Body::new(
                body.map_frame(move |frame| frame.map_data(|event| slot.replace_in_event(&event).unwrap_or(event))),
            )
        });
    }
    if !slot.is_set() || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let replaced = slot.replace(&body).map_or(body, Bytes::from);
    Response::from_parts(parts, Body::from(replaced))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_raw_result_takes_the_place_of_its_placeholder_only() {
        let raw = json!({"content": [{"type": "resource_link", "uri": "shots://884", "title": "S"}]});
        let slot = RawResult(Arc::new(Mutex::new(Some(raw.clone()))));
        let other = Bytes::from("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n");
        assert_eq!(slot.replace_in_event(&other), None);
        let placeholder = json!({"jsonrpc": "2.0", "id": 3, "result": {"content": [], "_meta": {MARKER: true}}});
        let event = Bytes::from(format!("id: 1/0\ndata: {placeholder}\n\n"));
        let replaced = slot.replace_in_event(&event).unwrap();
        let text = std::str::from_utf8(&replaced).unwrap();
        let data: Value = serde_json::from_str(text.lines().nth(1).unwrap().strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data, json!({"jsonrpc": "2.0", "id": 3, "result": raw}));
        assert!(text.starts_with("id: 1/0\n") && text.ends_with("\n\n"), "{text}");
        assert_eq!(slot.replace_in_event(&event), None, "once");
    }

    #[test]
    fn the_result_type_is_that_of_the_clients_protocol_version() {
        for (placeholder, expected) in [
            (json!({"_meta": {MARKER: true}}), json!({"content": 1})),
            (
                json!({"_meta": {MARKER: true}, "resultType": "complete"}),
                json!({"content": 1, "resultType": "complete"}),
            ),
        ] {
            let slot = RawResult(Arc::new(Mutex::new(Some(json!({"content": 1})))));
            let replaced = slot.replace(json!({"result": placeholder}).to_string().as_bytes()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&replaced).unwrap()["result"], expected);
        }
    }
}
