//! Counts the tokens of a call's arguments and result, as the client's model reads them.

use serde_json::Value;

use crate::activity::call::Call;
use crate::contract::tokens::estimate;

/// Returns the tokens of the arguments; `None` for anything but a call.
pub(super) fn of_arguments(call: &Call) -> Option<u64> {
    let bytes = call.request_bytes?;
    Some(of_part(&call.arguments, bytes))
}

/// Returns the tokens of the result, or of the error that the client received instead.
pub(super) fn of_response(call: &Call) -> Option<u64> {
    let Some(bytes) = call.response_bytes else {
        return call.error.as_deref().filter(|_| call.request_bytes.is_some()).map(estimate);
    };
    if !call.response_is_json {
        return Some(of_part(&call.response, call.received_bytes.unwrap_or(bytes)));
    }
    Some(estimate(&text_of_json(&call.response)))
}

/// Returns the tokens of a text of this length; `known` is all of it, or its start.
fn of_part(known: &str, bytes: u64) -> u64 {
    let tokens = u128::from(estimate(known));
    let length = known.len() as u128;
    // Rounds up, so that only an empty text has no tokens.
    let all = if length == 0 { 0 } else { (tokens * u128::from(bytes)).div_ceil(length) };
    u64::try_from(all).unwrap_or(u64::MAX)
}

/// Returns the texts of the content of a result: images are not text, and structured content repeats it. Without text,
/// returns the structured content.
fn text_of_json(json: &str) -> String {
    let result: Value = serde_json::from_str(json).unwrap_or_default();
    let blocks = result.get("content").and_then(Value::as_array).into_iter().flatten();
    let texts: Vec<&str> = blocks.filter_map(text_of_block).collect();
    match (texts.is_empty(), result.get("structuredContent")) {
        (true, Some(structured)) => structured.to_string(),
        _ => texts.join("\n"),
    }
}

/// Returns the text of a block, or of the resource in it.
fn text_of_block(block: &Value) -> Option<&str> {
    block.get("text").or_else(|| block.get("resource")?.get("text"))?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::activity::call::{LONGEST_BODY, cut};

    fn response(text: &str, is_json: bool) -> Option<u64> {
        of_response(&Call {
            request_bytes: Some(2),
            response_bytes: Some(text.len() as u64),
            response: cut(text, LONGEST_BODY).0.to_owned(),
            response_is_json: is_json,
            ..Call::default()
        })
    }

    #[test]
    fn a_result_counts_by_its_text_however_it_is_written() {
        let text = "one \"quoted\" line\nand a second one";
        let exact = Some(estimate(text));
        let block = json!({"type": "text", "text": text});
        let image = json!({"type": "image", "data": "iVBORw0KGgo".repeat(500)});
        assert_eq!(response(text, false), exact);
        assert_eq!(response(&json!({"content": [block, image]}).to_string(), true), exact);
        let embedded = json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": text}}]});
        assert_eq!(response(&embedded.to_string(), true), exact);
        let structured = json!({"content": [block], "structuredContent": {"text": text}});
        assert_eq!(response(&structured.to_string(), true), exact);
        let only = json!({"content": [], "structuredContent": {"a": 1}});
        assert_eq!(response(&only.to_string(), true), Some(estimate(r#"{"a":1}"#)));
    }

    #[test]
    fn a_text_of_which_only_the_start_is_known_counts_completely() {
        let text = "a line of text, as a tool returns it\n".repeat(10_000);
        let exact = estimate(&text);
        let tokens = response(&text, false).unwrap();
        assert!(tokens.abs_diff(exact) * 20 < exact, "{tokens} of {exact}");
        let beside_an_image = Call {
            request_bytes: Some(2),
            response_bytes: Some(5_000_000),
            response: "a picture".to_owned(),
            received_bytes: Some(9),
            ..Call::default()
        };
        assert_eq!(of_response(&beside_an_image), Some(2));
    }

    #[test]
    fn a_shortened_result_and_an_error_count_as_the_client_received_them() {
        let call = Call {
            request_bytes: Some(7),
            arguments: r#"{"a":1}"#.to_owned(),
            response_bytes: Some(40_000),
            response: "word ".repeat(8_000),
            received_bytes: Some(20_000),
            ..Call::default()
        };
        assert_eq!(of_arguments(&call), Some(estimate(r#"{"a":1}"#)));
        let whole = estimate(&call.response);
        assert_eq!(of_response(&call), Some(whole.div_ceil(2)));
        let failed = Call {
            error: Some("not found".to_owned()),
            response_bytes: None,
            ..call
        };
        assert_eq!(of_response(&failed), Some(2));
        assert_eq!((of_arguments(&Call::default()), of_response(&Call::default())), (None, None));
    }
}
