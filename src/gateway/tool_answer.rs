//! The result of a tool call, on its way from a server to a client.

use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, CallToolResult, Extensions, ServerResult};
use serde_json::{Value, json};

use crate::contract::exact_numbers::released;
use crate::gateway::http::raw_results;
use crate::gateway::search_mode::error_results::failed;
use crate::upstream::error::CallError;
use crate::upstream::transport::as_written;

/// The answer to a tool call.
pub enum ToolAnswer {
    Response(CallToolResponse),
    /// A result that the library's types cannot represent; the client receives it as the server sent it.
    Raw(Value),
}

impl ToolAnswer {
    /// Returns the result for a handler. Stores a raw result for the response to this request.
    pub fn respond(self, extensions: &Extensions) -> CallToolResponse {
        match self {
            ToolAnswer::Response(response) => response,
            ToolAnswer::Raw(result) => {
                let mut placeholder = CallToolResult::success(Vec::new());
                placeholder.meta = Some(raw_results::placeholder(extensions, result));
                placeholder.into()
            }
        }
    }
}

impl ToolAnswer {
    /// Converts a JSON-RPC error to a result, for callers that do not use JSON-RPC.
    pub fn of_error(error: &ErrorData) -> ToolAnswer {
        failed(&error.to_string()).into()
    }

    /// Returns the result as JSON; `None` if the server asks a question first.
    pub fn to_json(&self) -> Option<Value> {
        self.to_exact_json().as_ref().map(released)
    }

    /// Returns the result as JSON with numbers that are held ([`exact_numbers`](crate::contract::exact_numbers)).
    pub fn to_exact_json(&self) -> Option<Value> {
        match self {
            ToolAnswer::Response(CallToolResponse::Complete(result)) => serde_json::to_value(result).ok(),
            ToolAnswer::Response(_) => None,
            ToolAnswer::Raw(result) => Some(result.clone()),
        }
    }
}

impl<T: Into<CallToolResponse>> From<T> for ToolAnswer {
    fn from(response: T) -> ToolAnswer {
        ToolAnswer::Response(response.into())
    }
}

/// Converts a server's result of a tool call. Does not check its content.
///
/// # Errors
/// The result is not an object.
pub fn tool_answer(server: &str, result: ServerResult) -> Result<ToolAnswer, CallError> {
    let raw = match result {
        ServerResult::CallToolResult(result) => return Ok(result.into()),
        ServerResult::InputRequiredResult(request) => return Ok(CallToolResponse::from(request).into()),
        ServerResult::CustomResult(result) => as_written::unwrapped(result.0),
        other => serde_json::to_value(other).unwrap_or_default(),
    };
    match raw {
        Value::Object(mut result) => {
            // Clients require this member.
            let content = result.entry("content").or_insert(Value::Null);
            *content = match content.take() {
                Value::Null => json!([]),
                Value::String(text) => json!([{"type": "text", "text": text}]),
                block @ Value::Object(_) => json!([block]),
                list @ Value::Array(_) => list,
                other => json!([{"type": "text", "text": other.to_string()}]),
            };
            Ok(ToolAnswer::Raw(Value::Object(result)))
        }
        other => Err(CallError::Other {
            server: server.to_owned(),
            error: format!("its result is not an object: {}", other.to_string().chars().take(60).collect::<String>()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::CustomResult;

    use super::*;

    #[test]
    fn content_becomes_a_list_that_clients_can_read() {
        let block = json!({"type": "text", "text": "a"});
        for (content, expected) in [
            (json!({"content": null}), json!([])),
            (json!({"vendor": 1}), json!([])),
            (json!({"content": "a"}), json!([block])),
            (json!({"content": block}), json!([block])),
            (json!({"content": 7}), json!([{"type": "text", "text": "7"}])),
            (json!({"content": [block, 7]}), json!([block, 7])),
        ] {
            let answer = tool_answer("s", ServerResult::CustomResult(CustomResult::new(content.clone()))).unwrap();
            assert_eq!(answer.to_json().unwrap()["content"], expected, "{content}");
        }
        assert!(tool_answer("s", ServerResult::CustomResult(CustomResult::new(json!("text")))).is_err());
    }
}
