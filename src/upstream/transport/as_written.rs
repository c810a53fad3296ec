//! Keeps a server's results as they were written.
//!
//! The library's types drop members that they do not know, and round some numbers. A result that they would change passes through
//! the library as plain JSON.

use std::borrow::Cow;

use rmcp::model::{CustomResult, ServerResult};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::contract::exact_numbers::hold;
use crate::os::block_in_place::block_in_place_if_large;

/// The only key of a plain result in an event, which the library parses itself.
const WRAPPER: &str = "mcpproxy/as-written";

/// Reads a result for the library.
///
/// # Errors
/// It is not JSON.
pub fn for_library(result: &RawValue) -> Result<ServerResult, serde_json::Error> {
    form(result).map(|(result, _)| result)
}

/// The text of a result for an event. `None` if the result's own text is suitable.
pub fn for_event(result: &RawValue) -> Option<String> {
    match form(result) {
        Ok((ServerResult::CustomResult(plain), true)) => {
            Some(Value::Object(Map::from_iter([(WRAPPER.to_owned(), plain.0)])).to_string())
        }
        _ => None,
    }
}

/// The plain result that the library passed on.
pub fn unwrapped(mut result: Value) -> Value {
    match result.as_object_mut() {
        Some(members) if members.len() == 1 => members.shift_remove(WRAPPER).unwrap_or(result),
        _ => result,
    }
}

/// Whether the plain result that the library passed on is an error.
pub fn is_error(result: &Value) -> bool {
    result.get(WRAPPER).unwrap_or(result).get("isError") == Some(&Value::Bool(true))
}

/// A result as the library can pass it on, and whether that is plain JSON because its types would change the result of a tool,
/// prompt or resource.
fn form(result: &RawValue) -> Result<(ServerResult, bool), serde_json::Error> {
    block_in_place_if_large(result.get().len(), || read(result))
}

fn read(result: &RawValue) -> Result<(ServerResult, bool), serde_json::Error> {
    if !result.get().starts_with('{') {
        // The types also read an array, member by member.
        return Ok((ServerResult::CustomResult(CustomResult::new(serde_json::from_str(result.get())?)), true));
    }
    let typed = serde_json::from_str::<ServerResult>(result.get())?;
    let has_content = matches!(
        typed,
        ServerResult::CallToolResult(_) | ServerResult::GetPromptResult(_) | ServerResult::ReadResourceResult(_)
    );
    if !has_content {
        return Ok((typed, false));
    }
    let held = hold(result.get());
    let plain: Value = serde_json::from_str(&held)?;
    if matches!(held, Cow::Owned(_)) || serde_json::to_value(&typed)? != plain {
        return Ok((ServerResult::CustomResult(CustomResult::new(plain)), true));
    }
    Ok((typed, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::exact_numbers::restore_text;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_result_that_the_types_would_change_stays_as_written() {
        for text in [
            r#"{"content":[{"type":"text","text":"a","extra":{"n":2.0}}]}"#,
            r#"{"content":[{"type":"text","text":"a","annotations":{"priority":0.123456789}}]}"#,
            r#"{"content":[],"vendor":[1.50,1e400,18446744073709551616]}"#,
            r#"{"structuredContent":{"n":1.0}}"#,
            r#"{"messages":[],"vendor":1.0}"#,
            r#"{"contents":[{"uri":"a:b","text":"t","vendor":-0}]}"#,
        ] {
            let ServerResult::CustomResult(plain) = for_library(&raw(text)).unwrap() else {
                panic!("{text}")
            };
            assert_eq!(restore_text(&plain.0.to_string()), text);
            assert!(!is_error(&plain.0));
            let event = for_event(&raw(text)).unwrap();
            let ServerResult::CustomResult(wrapped) = serde_json::from_str(&event).unwrap() else {
                panic!("{event}")
            };
            assert_eq!(restore_text(&unwrapped(wrapped.0).to_string()), text);
        }
    }

    #[test]
    fn an_array_is_not_a_result_of_a_tool() {
        for text in ["[]", r#"[[{"type":"text","text":"a"}]]"#, "7"] {
            let ServerResult::CustomResult(plain) = for_library(&raw(text)).unwrap() else {
                panic!("{text}")
            };
            assert_eq!(plain.0.to_string(), text);
        }
    }

    #[test]
    fn an_error_is_recognised_in_both_forms() {
        let text = r#"{"content":[],"isError":true,"vendor":1.50}"#;
        let ServerResult::CustomResult(plain) = for_library(&raw(text)).unwrap() else {
            panic!("{text}")
        };
        assert!(is_error(&plain.0));
        assert!(is_error(&serde_json::from_str(&for_event(&raw(text)).unwrap()).unwrap()));
    }

    /// The JSON library presents a fraction as a map to types that buffer their contents, which then may not read it.
    #[test]
    fn the_library_reads_messages_with_fractions() {
        use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
        for message in [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5,"total":1.5}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":5,"temperature":0.7}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{"n":{"type":"number","minimum":0.5,"maximum":1.50}}}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"n":{"minimum":0.5}}}}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resources":[{"uri":"a:b","name":"a","annotations":{"priority":0.5}}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"m","data":{"n":0.5}}}"#,
        ] {
            let read =
                serde_json::from_str::<ServerJsonRpcMessage>(message).unwrap_or_else(|e| panic!("{message}: {e}"));
            assert!(!format!("{read:?}").contains("Custom"), "{read:?}");
        }
        for message in [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5,"total":1.5}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"n":0.5}}}"#,
        ] {
            let read =
                serde_json::from_str::<ClientJsonRpcMessage>(message).unwrap_or_else(|e| panic!("{message}: {e}"));
            assert!(!format!("{read:?}").contains("Custom"), "{read:?}");
        }
    }

    #[test]
    fn other_results_have_the_librarys_types() {
        let result =
            raw(r#"{"isError":false,"content":[{"type":"text","text":"a"}],"structuredContent":{"n":1e+400}}"#);
        assert!(matches!(for_library(&result).unwrap(), ServerResult::CallToolResult(_)));
        assert_eq!(for_event(&result), None);
        let list = raw(r#"{"tools":[{"name":"a","inputSchema":{"type":"object"},"vendor":1}]}"#);
        assert!(matches!(for_library(&list).unwrap(), ServerResult::ListToolsResult(_)));
        assert_eq!(unwrapped(serde_json::json!({"content": []})), serde_json::json!({"content": []}));
    }
}
