//! How to forward a client's message: whether it expects a response, and which HTTP headers it needs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::contract::failure::FailureKind;
use crate::contract::json_rpc::{ErrorObject, ErrorResponse};

/// Where a request without a session declares its protocol version.
const PROTOCOL_VERSION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";

/// The ID of a request that expects a response.
pub fn request_id(message: &Value) -> Option<&Value> {
    message.get("method")?;
    message.get("id").filter(|id| !id.is_null())
}

/// The method of a request or notification.
pub fn method(message: &Value) -> &str {
    message.get("method").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the message declares its protocol version itself and so needs no session.
pub fn is_sessionless(message: &Value) -> bool {
    message.pointer(PROTOCOL_VERSION).is_some()
}

/// The headers that a sessionless request must carry. They repeat values of the message.
pub fn own_headers(message: &Value) -> Vec<(&'static str, String)> {
    let Some(revision) = message.pointer(PROTOCOL_VERSION).and_then(Value::as_str) else {
        return Vec::new();
    };
    let method = method(message);
    let mut headers = vec![
        ("mcp-protocol-version", header_value(revision)),
        ("mcp-method", header_value(method)),
    ];
    let key = match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    };
    let name = key.and_then(|key| message.get("params")?.get(key)?.as_str());
    headers.extend(name.map(|name| ("mcp-name", header_value(name))));
    headers
}

/// The error response to a request that the core did not answer.
pub fn failure(id: &Value, sentence: &str) -> Value {
    let error = ErrorObject {
        code: FailureKind::Internal.json_rpc_code(),
        message: sentence,
    };
    json!(ErrorResponse::new(id, error))
}

/// A string as a header value; anything but plain ASCII is encoded as the protocol requires (SEP-2243).
fn header_value(text: &str) -> String {
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let wrapped = text.starts_with("=?base64?") && text.ends_with("?=");
    if plain && !wrapped && text.trim() == text {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", BASE64_STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        assert_eq!(request_id(&json!({"id": 1, "method": "ping"})), Some(&json!(1)));
        assert_eq!(request_id(&json!({"method": "notifications/initialized"})), None);
        assert_eq!(request_id(&json!({"id": 1, "result": {}})), None);
        assert_eq!(request_id(&json!(["x"])), None);
    }

    #[test]
    fn a_request_without_a_session_repeats_itself_in_headers() {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let call = json!({"id": 1, "method": "tools/call", "params": {"name": "gr\u{fc}n", "_meta": meta}});
        assert!(is_sessionless(&call));
        let headers = own_headers(&call);
        assert_eq!(headers[0], ("mcp-protocol-version", "2026-07-28".to_owned()));
        assert_eq!(headers[1], ("mcp-method", "tools/call".to_owned()));
        assert_eq!(headers[2], ("mcp-name", "=?base64?Z3LDvG4=?=".to_owned()));
        assert!(own_headers(&json!({"id": 1, "method": "ping"})).is_empty());
    }

    #[test]
    fn a_line_break_cannot_begin_another_header() {
        assert_eq!(header_value("a\r\nb: c"), format!("=?base64?{}?=", BASE64_STANDARD.encode("a\r\nb: c")));
        assert_eq!(header_value("plain text"), "plain text");
    }
}
