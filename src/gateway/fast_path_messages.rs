//! Messages of the fast path: requests with minimal parsing, and responses around raw JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rmcp::model::{CallToolResult, ErrorCode, ErrorData};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// Maximum nesting of JSON. The library's limit; servers must not receive deeper JSON either.
const MAX_DEPTH: usize = 100;

/// A JSON-RPC request or notification. Unknown members send it to the library path.
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
    // Almost no message has so many brackets; counting them is much faster than following strings.
    if json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= MAX_DEPTH {
        return false;
    }
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

/// Whether the library can parse all of it: no unpaired surrogates. A server must not receive a request
/// that the library path would refuse.
pub(super) fn is_readable(json: &[u8]) -> bool {
    !is_deep(json) && serde_json::from_slice::<Readable>(json).is_ok()
}

/// Any JSON value, parsed completely and dropped.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Readable, D::Error> {
        deserializer.deserialize_any(Readable)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Readable;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_str<E>(self, _: &str) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_unit<E>(self) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Readable, A::Error> {
        while values.next_element::<Readable>()?.is_some() {}
        Ok(Readable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Readable, A::Error> {
        while members.next_entry::<Readable, Readable>()?.is_some() {}
        Ok(Readable)
    }
}

/// The members of a tool result that the fast path needs.
#[derive(Deserialize)]
pub(super) struct ResultHead<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default, rename = "isError")]
    pub(super) is_error: Option<bool>,
    #[serde(default, rename = "resultType")]
    pub(super) result_type: Option<IgnoredAny>,
}

impl<'a> ResultHead<'a> {
    /// Parses a result; `None` if it is not an object or a member has an unexpected type.
    pub(super) fn of(result: &'a RawValue) -> Option<ResultHead<'a>> {
        result.get().starts_with('{').then(|| serde_json::from_str(result.get()).ok())?
    }

    /// Whether clients can read the result: they require a list of content, which the library path adds.
    pub(super) fn has_content(&self) -> bool {
        self.content.is_some_and(|content| content.get().starts_with('['))
    }
}

/// Whether a server's error means that the arguments are invalid.
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
    use rmcp::model::{ClientJsonRpcMessage, ClientRequest};
    use serde_json::Value;

    use super::*;
    use crate::contract::exact_numbers::hold;
    use crate::contract::json_rpc::is_raw_id;
    use crate::gateway::call_arguments::UpstreamCall;
    use crate::gateway::http::raw_results::held_arguments;

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        assert!(!is_deep(br#"{"a": "[[[[[[\"[[[[["}"#));
        let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(!is_deep(deep(MAX_DEPTH).as_bytes()));
        assert!(is_deep(deep(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_deep("[]".repeat(500).as_bytes()));
    }

    /// Returns the ID, tool and arguments of a request on the fast path.
    fn fast(body: &[u8]) -> Option<(Value, String, Value)> {
        let message: Message = serde_json::from_slice(body).ok()?;
        let id = message.id.filter(|id| is_raw_id(id.get()))?;
        let is_call = message.method == "tools/call" && message.jsonrpc == "2.0" && is_readable(body);
        let call: ToolCall = serde_json::from_str(message.params.filter(|_| is_call)?.get()).ok()?;
        let arguments = call.arguments.map_or("{}", RawValue::get);
        let id = serde_json::from_str(id.get()).unwrap();
        if call.name != "call_tool_read" {
            let arguments = if arguments == "null" { "{}" } else { arguments };
            let arguments: Value = serde_json::from_str(&hold(arguments)).unwrap();
            return arguments.is_object().then(|| (id, call.name.into_owned(), arguments));
        }
        let call = UpstreamCall::parse(arguments).ok()?;
        Some((id, call.id().to_owned(), Value::Object(call.arguments())))
    }

    /// Returns the same for the library path.
    fn library(body: &[u8]) -> Option<(Value, String, Value)> {
        let held = held_arguments(body);
        let message: ClientJsonRpcMessage = serde_json::from_slice(held.as_deref().unwrap_or(body)).ok()?;
        let ClientJsonRpcMessage::Request(request) = message else { return None };
        let ClientRequest::CallToolRequest(call) = request.request else { return None };
        let id = serde_json::to_value(&request.id).unwrap();
        let arguments = call.params.arguments.unwrap_or_default();
        if call.params.name != "call_tool_read" {
            return Some((id, call.params.name.into_owned(), Value::Object(arguments)));
        }
        let text = serde_json::to_string(&arguments).unwrap();
        let call = UpstreamCall::parse(&text).ok()?;
        Some((id, call.id().to_owned(), Value::Object(call.arguments())))
    }

    #[test]
    fn both_paths_read_a_request_alike_or_the_fast_path_leaves_it_to_the_library() {
        let ids = [
            "1",
            "-7",
            "\"a\"",
            "1.5",
            "1e3",
            "null",
            "true",
            "[1]",
            "{}",
            "18446744073709551615",
            "99999999999999999999",
        ];
        let values = [
            "{}",
            "null",
            "[1]",
            "5",
            "\"{}\"",
            "{\"a\":1}",
            "{\"a\":1.0}",
            "{\"a\":18446744073709551616}",
            "{\"a\":1e400}",
            "{\"a\":\"\\ud83d\"}",
            "{\"a\":\"\\ud83d\\ude00\"}",
            "{\"a\":\"\\u0000\"}",
            "{\"a\":1,\"a\":2}",
            "{\"\\ud83d\":1}",
            "{ \"a\" :\n[ 1 , null ] }",
            "\"{\\\"a\\\":1}\"",
            "\"{\\\"a\\\":\\\"\\\\ud83d\\\"}\"",
            "\"\"",
            "\"[1]\"",
        ];
        let keys = ["args", "args_json", "arguments", "text", "Args"];
        let mut parameters: Vec<String> = Vec::new();
        for value in values {
            parameters.push(format!("{{\"name\":\"s__t\",\"arguments\":{value}}}"));
            parameters.push(format!("{{\"name\":\"s__t\",\"_meta\":{value}}}"));
            for key in keys {
                let arguments = format!("{{\"name\":\"s:t\",\"{key}\":{value}}}");
                parameters.push(format!("{{\"name\":\"call_tool_read\",\"arguments\":{arguments}}}"));
                let both =
                    format!("{{\"name\":\"s:t\",\"args\":{{\"b\":2}},\"{key}\":{value},\"intent_reason\":{value}}}");
                parameters.push(format!("{{\"name\":\"call_tool_read\",\"arguments\":{both}}}"));
            }
        }
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for depth in [50, 95, 99, 100, 130] {
            parameters.push(format!("{{\"name\":\"s__t\",\"arguments\":{}}}", deep(depth)));
            let json = serde_json::to_string(&deep(depth)).unwrap();
            parameters.push(format!(
                "{{\"name\":\"call_tool_read\",\"arguments\":{{\"name\":\"s:t\",\"args_json\":{json}}}}}"
            ));
        }
        let (mut taken, mut left) = (0, 0);
        for parameters in parameters {
            for id in ids {
                let body =
                    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{parameters}}}");
                match fast(body.as_bytes()) {
                    Some(read) => {
                        assert_eq!(Some(read), library(body.as_bytes()), "{body}");
                        taken += 1;
                    }
                    None => left += 1,
                }
            }
        }
        assert!(taken > 100 && left > 200, "{taken} {left}");
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
