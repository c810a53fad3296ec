//! Rules of JSON-RPC 2.0 that the fast path and the library path share, and the messages that MCPProxy writes itself.

use serde::Serialize;
use serde_json::Value;

const VERSION: &str = "2.0";

/// A notification to a server or a client.
#[derive(Debug, Serialize)]
pub struct Notification<'a, P> {
    jsonrpc: &'static str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

impl<'a, P> Notification<'a, P> {
    pub fn new(method: &'a str, params: Option<P>) -> Notification<'a, P> {
        Notification {
            jsonrpc: VERSION,
            method,
            params,
        }
    }
}

/// The response to a request that succeeded.
#[derive(Debug, Serialize)]
pub struct SuccessResponse<I, R> {
    jsonrpc: &'static str,
    id: I,
    result: R,
}

impl<I, R> SuccessResponse<I, R> {
    pub fn new(id: I, result: R) -> SuccessResponse<I, R> {
        SuccessResponse {
            jsonrpc: VERSION,
            id,
            result,
        }
    }
}

/// The response to a request that failed. `null` is the ID of a request without a readable ID.
#[derive(Debug, Serialize)]
pub struct ErrorResponse<I, E> {
    jsonrpc: &'static str,
    id: I,
    error: E,
}

impl<I, E> ErrorResponse<I, E> {
    pub fn new(id: I, error: E) -> ErrorResponse<I, E> {
        ErrorResponse {
            jsonrpc: VERSION,
            id,
            error,
        }
    }
}

/// The error of a failed request, without data.
#[derive(Debug, Serialize)]
pub struct ErrorObject<'a> {
    pub code: i32,
    pub message: &'a str,
}

/// Whether a value is a valid request ID: a string or a 64-bit integer, as in the MCP library. MCP excludes `null` and
/// fractions.
pub fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

/// Whether unparsed JSON, without surrounding whitespace, is a valid request ID.
pub fn is_raw_id(id: &str) -> bool {
    // Skips parsing values that are neither strings nor numbers.
    id.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
        && serde_json::from_str(id).is_ok_and(|id| is_id(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &impl Serialize) -> String {
        serde_json::to_string(message).unwrap()
    }

    #[test]
    fn messages_have_the_members_of_json_rpc() {
        assert_eq!(text(&Notification::<()>::new("a", None)), r#"{"jsonrpc":"2.0","method":"a"}"#);
        assert_eq!(text(&Notification::new("a", Some([1]))), r#"{"jsonrpc":"2.0","method":"a","params":[1]}"#);
        assert_eq!(text(&SuccessResponse::new(7, "r")), r#"{"jsonrpc":"2.0","id":7,"result":"r"}"#);
        let error = ErrorObject {
            code: -32603,
            message: "no",
        };
        let expected = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"no"}}"#;
        assert_eq!(text(&ErrorResponse::new(Value::Null, error)), expected);
    }

    #[test]
    fn an_id_is_a_string_or_a_whole_number_on_both_paths() {
        for (id, expected) in [
            ("1", true),
            ("-1", true),
            ("0", true),
            ("9223372036854775807", true),
            ("18446744073709551615", false),
            ("\"a\"", true),
            ("\"\"", true),
            ("1.5", false),
            ("1e3", false),
            ("1.0", false),
            ("18446744073709551616", false),
            ("null", false),
            ("{}", false),
            ("[1]", false),
            ("true", false),
        ] {
            assert_eq!(is_raw_id(id), expected, "{id}");
            assert_eq!(is_id(&serde_json::from_str(id).unwrap()), expected, "{id}");
        }
    }
}
