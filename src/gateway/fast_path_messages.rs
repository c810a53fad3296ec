//! Messages of the fast path: requests parsed no further than needed, and responses written around raw JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rmcp::model::{CallToolResult, ErrorCode, ErrorData};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// The library parses no deeper; what is sent to a server must not be deeper either.
const MAX_DEPTH: usize = 100;

/// A JSON-RPC request or notification. Unknown members make it a case for the library.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message<'a> {
    pub(super) jsonrpc: &'a str,
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) params: Option<&'a RawValue>,
}

/// The parameters of `tools/call`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    pub(super) meta: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
}

/// The parameters of `notifications/cancelled`.
#[derive(Deserialize)]
pub(super) struct Cancelled<'a> {
    #[serde(borrow, rename = "requestId")]
    pub(super) request: &'a RawValue,
}

/// A JSON-RPC response.
#[derive(Serialize)]
struct Response200<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

/// True if JSON nesting exceeds `MAX_DEPTH`.
pub(super) fn is_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// What the fast path must know of a tool's result.
#[derive(Deserialize)]
pub(super) struct ResultHead {
    #[serde(default, rename = "isError")]
    pub(super) is_error: Option<bool>,
    #[serde(default, rename = "resultType")]
    pub(super) result_type: Option<IgnoredAny>,
}

impl ResultHead {
    /// Reads a result; `None` if it is not an object, or one of these members has another type.
    pub(super) fn of(result: &RawValue) -> Option<ResultHead> {
        result.get().starts_with('{').then(|| serde_json::from_str(result.get()).ok())?
    }
}

/// Whether a server's error means that the arguments do not fit.
pub(super) fn is_invalid_arguments(error: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Coded {
        code: i32,
    }
    serde_json::from_str::<Coded>(error.get()).is_ok_and(|error| error.code == ErrorCode::INVALID_PARAMS.0)
}

pub(super) fn respond_error(id: &RawValue, error: &ErrorData) -> Response {
    respond(id, None, to_raw_value(error).ok().as_deref())
}

pub(super) fn respond_result(id: &RawValue, mut result: CallToolResult) -> Response {
    // Protocol versions with sessions have no `resultType`.
    result.result_type = None;
    respond(id, to_raw_value(&result).ok().as_deref(), None)
}

pub(super) fn respond(id: &RawValue, result: Option<&RawValue>, error: Option<&RawValue>) -> Response {
    let response = Response200 {
        jsonrpc: "2.0",
        id,
        result,
        error,
    };
    match serde_json::to_vec(&response) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        assert!(!is_deep(br#"{"a": "[[[[[[\"[[[[["}"#));
        let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(!is_deep(deep(MAX_DEPTH).as_bytes()));
        assert!(is_deep(deep(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_deep("[]".repeat(500).as_bytes()));
    }

    #[test]
    fn an_error_is_recognised_however_it_is_written() {
        let is_error = |result: &str| {
            ResultHead::of(serde_json::from_str(result).unwrap()).map(|head| head.is_error == Some(true))
        };
        assert_eq!(is_error(r#"{"content":[],"isError":true}"#), Some(true));
        assert_eq!(is_error("{\"content\":[],\"isError\" :\n\ttrue}"), Some(true));
        assert_eq!(is_error(r#"{"content":[],"is\u0045rror":true}"#), Some(true));
        assert_eq!(is_error(r#"{"content":[{"type":"text","text":"\"isError\":true"}]}"#), Some(false));
        assert_eq!(is_error(r#"{"structuredContent":{"isError":true},"content":[]}"#), Some(false));
        assert_eq!(is_error(r#"{"content":[],"isError":"yes"}"#), None);
        assert_eq!(is_error("[]"), None);
    }
}
