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
    let text = text_of_json(&call.response);
    // Only the start of a long result is known. Its rest is like its last text, if that is incomplete.
    let rest = if text.is_cut { bytes.saturating_sub(call.response.len() as u64) } else { 0 };
    Some(of_part(&text.text, text.text.len() as u64 + rest))
}

/// Returns the tokens of a text of this length; `known` is all of it, or its start.
fn of_part(known: &str, bytes: u64) -> u64 {
    let tokens = u128::from(estimate(known));
    let length = known.len() as u128;
    // Rounds up, so that only an empty text has no tokens.
    let all = if length == 0 { 0 } else { (tokens * u128::from(bytes)).div_ceil(length) };
    u64::try_from(all).unwrap_or(u64::MAX)
}

/// The texts of a result in JSON.
struct Texts {
    text: String,
    /// Whether the JSON ends within the last text.
    is_cut: bool,
}

/// Returns the texts of the content of a result: images are not text, and structured content repeats it. Without text,
/// returns the structured content.
fn text_of_json(json: &str) -> Texts {
    match serde_json::from_str::<Value>(json) {
        Ok(result) => {
            let blocks = result.get("content").and_then(Value::as_array).into_iter().flatten();
            let texts: Vec<&str> = blocks.filter_map(text_of_block).collect();
            let structured = || result.get("structuredContent").map(Value::to_string).unwrap_or_default();
            Texts {
                text: if texts.is_empty() { structured() } else { texts.join("\n") },
                is_cut: false,
            }
        }
        Err(_) => texts_of_start(json),
    }
}

/// Returns the text of a block, or of the resource in it.
fn text_of_block(block: &Value) -> Option<&str> {
    block.get("text").or_else(|| block.get("resource")?.get("text"))?.as_str()
}

/// Returns the values of all members `text` in the start of a JSON text.
fn texts_of_start(json: &str) -> Texts {
    let mut texts = Vec::new();
    let (mut rest, mut is_text, mut is_cut) = (json, false, false);
    while let Some((_, string)) = rest.split_once('"') {
        let Some(end) = end_of_string(string) else {
            // The JSON was cut here.
            is_cut = is_text;
            texts.extend(is_text.then(|| string.replace("\\n", "\n").replace("\\\"", "\"")));
            break;
        };
        let (string, after) = string.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let is_key = rest.trim_start().starts_with(':');
        if is_text && !is_key {
            texts.extend(serde_json::from_str::<String>(&format!("\"{string}\"")).ok());
        }
        is_text = is_key && string == "text";
    }
    Texts {
        text: texts.join("\n"),
        is_cut,
    }
}

/// Returns the position of the quotation mark that ends a string in JSON.
fn end_of_string(json: &str) -> Option<usize> {
    let mut is_escaped = false;
    json.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
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
    fn a_result_of_which_only_the_start_is_known_counts_completely() {
        let text = "a line of text, as a tool returns it\n".repeat(10_000);
        let exact = estimate(&text);
        let is_close = |tokens: Option<u64>| tokens.unwrap().abs_diff(exact) * 20 < exact;
        assert!(is_close(response(&text, false)));
        let json = json!({"content": [{"type": "text", "text": text}]}).to_string();
        assert!(is_close(response(&json, true)), "{:?} of {exact}", response(&json, true));
        let image = json!({"content": [{"type": "text", "text": "a picture"},
            {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo".repeat(50_000)}]});
        assert_eq!(response(&image.to_string(), true), Some(2));
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
