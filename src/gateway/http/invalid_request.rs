//! JSON-RPC errors for messages that are not valid MCP requests.
//!
//! The library decides which messages it accepts; this module explains why it refused one.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CompleteRequestParams, ErrorCode, GetPromptRequestParams, PaginatedRequestParams,
    ReadResourceRequestParams,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::contract::json_rpc::{ErrorObject, ErrorResponse, is_id};
use crate::gateway::failures::invalid;

/// Maximum length of the client's text quoted in an error, in characters.
const SAID_BACK: usize = 60;

/// The response to an invalid request. Contains the request's ID if it is valid, otherwise `null`.
#[derive(Debug, Serialize)]
pub struct Refusal(Value);

/// Parses a JSON-RPC 2.0 message and checks everything that does not depend on its method.
///
/// # Errors
/// The response to send instead.
pub fn read(body: &[u8]) -> Result<Value, Refusal> {
    let message = serde_json::from_slice::<Value>(body).map_err(|error| {
        let said = match std::str::from_utf8(body) {
            Err(error) => format!("the body is not valid UTF-8 after byte {}", error.valid_up_to()),
            Ok(text) if text.trim().is_empty() => "the body is empty".to_owned(),
            Ok(_) => format!("the body is not valid JSON: {error}"),
        };
        Refusal::new(Value::Null, ErrorCode::PARSE_ERROR, said)
    })?;
    match fault(&message) {
        None => Ok(message),
        Some(said) => Err(Refusal::new(id_of(&message), ErrorCode::INVALID_REQUEST, said)),
    }
}

impl From<Refusal> for Value {
    fn from(refusal: Refusal) -> Value {
        refusal.0
    }
}

impl Refusal {
    /// Explains why the library refused this body.
    pub fn of(body: &[u8]) -> Refusal {
        let misfit = "its parameters are invalid for its `method`".to_owned();
        read(body)
            .map_or_else(|refusal| refusal, |message| Refusal::new(id_of(&message), ErrorCode::INVALID_REQUEST, misfit))
    }

    /// Refuses a request that is too large.
    pub fn too_long(most: usize) -> Refusal {
        Refusal::new(Value::Null, ErrorCode::INVALID_REQUEST, format!("the request is larger than {most} bytes"))
    }

    /// Refuses a request whose body ended early.
    pub fn incomplete(why: &str) -> Refusal {
        Refusal::new(Value::Null, ErrorCode::PARSE_ERROR, format!("the body is incomplete: {why}"))
    }

    fn new(id: Value, code: ErrorCode, said: String) -> Refusal {
        let error = ErrorObject {
            code: code.0,
            message: &said,
        };
        Refusal(json!(ErrorResponse::new(id, error)))
    }
}

/// The keys of the parameters of `tools/call`.
const CALL_KEYS: [&str; 6] = ["name", "arguments", "_meta", "inputResponses", "requestState", "task"];

/// Refuses a `tools/call` whose arguments are not under `arguments`: the library would ignore them, and the tool would
/// run without arguments.
pub fn misplaced_arguments(body: &[u8]) -> Option<Refusal> {
    memchr::memmem::find(body, b"tools/call")?;
    let message: Value = serde_json::from_slice(body).ok()?;
    let params = message.get("params").filter(|_| message.get("method").is_some_and(|method| method == "tools/call"));
    let params = params?.as_object()?;
    if params.get("arguments").is_some_and(|arguments| !arguments.is_null()) {
        return None;
    }
    let key = params.keys().find(|key| !CALL_KEYS.contains(&key.as_str()))?;
    let key: String = key.chars().take(SAID_BACK).collect();
    let text = format!("unknown parameter `{key}`: put the tool's arguments in `arguments`; the tool has not run");
    Some(Refusal::new(id_of(&message), ErrorCode::INVALID_PARAMS, text))
}

fn id_of(message: &Value) -> Value {
    message.get("id").filter(|id| is_id(id)).cloned().unwrap_or_default()
}

fn fault(message: &Value) -> Option<String> {
    let members = match message {
        Value::Object(members) => members,
        Value::Array(_) => return Some("batches are not supported: send each message separately".to_owned()),
        other => return Some(format!("a message must be an object, not {}", kind(other))),
    };
    match members.get("jsonrpc") {
        Some(Value::String(version)) if version == "2.0" => {}
        Some(other) => return Some(format!("`jsonrpc` must be \"2.0\", not {}", said_back(other))),
        None => return Some("`jsonrpc` is missing; it must be \"2.0\"".to_owned()),
    }
    let answers = members.contains_key("result") || members.contains_key("error");
    match members.get("id") {
        Some(id) if is_id(id) => {}
        Some(Value::Number(id)) => return Some(format!("`id` must be a string or a whole number, not {id}")),
        // An error that concerns no particular request.
        Some(Value::Null) if answers => {}
        Some(other) => return Some(format!("`id` must be a string or a whole number, not {}", kind(other))),
        None => {}
    }
    match members.get("method") {
        Some(Value::String(_)) => {}
        Some(other) => return Some(format!("`method` must be a string, not {}", kind(other))),
        None if answers => return None,
        None => return Some("`method` is missing".to_owned()),
    }
    match members.get("params") {
        None | Some(Value::Object(_) | Value::Null) => None,
        Some(other) => Some(format!("`params` must be an object, not {}", kind(other))),
    }
}

/// Returns the error for a request that the library did not recognise: an unknown method, or a known method with
/// invalid parameters.
pub fn unknown_request(method: &str, params: Option<Value>) -> ErrorData {
    match misfit(method, params.unwrap_or_else(|| Value::Object(serde_json::Map::new()))) {
        Some(why) => invalid(format!("invalid parameters for {method}: {why}")).into(),
        None => {
            let method: String = method.chars().take(SAID_BACK).collect();
            ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("unknown method `{method}`"), None)
        }
    }
}

/// Explains why parameters are invalid for a method that every protocol version has.
fn misfit(method: &str, params: Value) -> Option<String> {
    let read = match method {
        "tools/call" => why::<CallToolRequestParams>,
        "prompts/get" => why::<GetPromptRequestParams>,
        "resources/read" => why::<ReadResourceRequestParams>,
        "completion/complete" => why::<CompleteRequestParams>,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => why::<PaginatedRequestParams>,
        _ => return None,
    };
    match params {
        // The library also refuses a member that occurs twice, of which the value kept the last.
        Value::Object(_) => Some(read(params).unwrap_or_else(|| "a member occurs twice".to_owned())),
        other => Some(format!("they must be an object, not {}", kind(&other))),
    }
}

fn why<T: DeserializeOwned>(params: Value) -> Option<String> {
    serde_json::from_value::<T>(params).err().map(|error| error.to_string())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn said_back(value: &Value) -> String {
    value.to_string().chars().take(SAID_BACK).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        for (body, code, id, said) in [
            (&b""[..], -32700, Value::Null, "empty"),
            (b"{\"a\": tru", -32700, Value::Null, "line 1 column 9"),
            (b"{\"a\": \"\xff\"}", -32700, Value::Null, "byte 7"),
            (b"[{}]", -32600, Value::Null, "batches"),
            (b"5", -32600, Value::Null, "a number"),
            (b"{\"id\": 3}", -32600, 3.into(), "`jsonrpc` is missing"),
            (b"{\"jsonrpc\": \"1.0\", \"id\": \"x\"}", -32600, "x".into(), "\"1.0\""),
            (b"{\"jsonrpc\": \"2.0\", \"id\": null, \"method\": \"ping\"}", -32600, Value::Null, "not null"),
            (b"{\"jsonrpc\": \"2.0\", \"id\": 1.5, \"method\": \"ping\"}", -32600, Value::Null, "1.5"),
            (b"{\"jsonrpc\": \"2.0\", \"id\": [1], \"method\": \"ping\"}", -32600, Value::Null, "an array"),
            (b"{\"jsonrpc\": \"2.0\", \"id\": 1}", -32600, 1.into(), "`method` is missing"),
            (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": {}}", -32600, 1.into(), "an object"),
            (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"a\", \"params\": 1}", -32600, 1.into(), "a number"),
        ] {
            let Refusal(refusal) = Refusal::of(body);
            let text = String::from_utf8_lossy(body);
            assert_eq!((&refusal["error"]["code"], &refusal["id"]), (&code.into(), &id), "{text}");
            assert!(refusal["error"]["message"].as_str().unwrap().contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_call_with_arguments_under_another_key_is_refused() {
        let refused = |params: &str| {
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"tools/call\",\"params\":{params}}}");
            misplaced_arguments(body.as_bytes()).map(|Refusal(refusal)| refusal)
        };
        for params in [
            r#"{"name": "s__t", "args": {"text": "x"}}"#,
            r#"{"name": "s__t", "text": "x"}"#,
            r#"{"name": "s__t", "arguments": null, "input": {}}"#,
        ] {
            let refusal = refused(params).unwrap();
            assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&4.into(), &(-32602).into()), "{params}");
        }
        for params in [
            r#"{"name": "s__t"}"#,
            r#"{"name": "s__t", "arguments": {}, "more": 1}"#,
            r#"{"name": "s__t", "_meta": {}, "task": {}, "inputResponses": {}, "requestState": "x"}"#,
        ] {
            assert!(refused(params).is_none(), "{params}");
        }
    }

    #[test]
    fn json_that_is_too_deep_is_an_error_and_not_a_crash() {
        let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
        assert!(Refusal::of(deep.as_bytes()).0.to_string().contains("recursion limit"));
    }

    #[test]
    fn invalid_parameters_are_distinguished_from_unknown_methods() {
        let told = |method: &str, params: Value| {
            let error = unknown_request(method, Some(params));
            (error.code.0, error.message.into_owned())
        };
        let (code, said) = told("tools/call", json!({"name": "a", "arguments": [1]}));
        assert_eq!(code, -32602);
        assert!(said.contains("tools/call") && said.contains("expected a map"), "{said}");
        let (code, said) = told("tools/call", json!({}));
        assert_eq!(code, -32602);
        assert!(said.contains("`name`"), "{said}");
        assert_eq!(told("tools/call", 5.into()).0, -32602);
        // The library refused it for a reason that the value does not show.
        assert_eq!(told("tools/call", json!({"name": "a"})).0, -32602);
        let (code, said) = told(&"x".repeat(1000), Value::Null);
        assert_eq!(code, -32601);
        assert!(said.len() < 100, "{said}");
    }
}
