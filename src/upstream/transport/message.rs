//! Reads a server's messages by one rule, for every transport and for both paths to a client: which damage is repaired, what is
//! refused, and which request a response belongs to.
//!
//! A clean message is passed on as the bytes that the server wrote. A damaged one is repaired if its meaning is clear
//! (see `repair`); otherwise its caller receives an error at once instead of waiting for a timeout.

use std::borrow::Cow;

use rmcp::model::{ErrorCode, ErrorData, NumberOrString, RequestId};
use rmcp::service::{RoleClient, RxJsonRpcMessage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::contract::exact_numbers::restored;
use crate::upstream::transport::repair::{self, MAX_DEPTH};

/// Places in a line where a response is looked for.
const MOST_STARTS: usize = 16;
/// Characters of a malformed error that are passed on.
const LONGEST_ERROR: usize = 500;

/// One message of a server.
#[derive(Debug)]
pub enum Message<'a> {
    Response(Response<'a>),
    /// A request or a notification, as JSON text.
    Request(Cow<'a, str>),
    Notification(Cow<'a, str>),
    /// Looks like a message, but cannot be read.
    Unreadable(Unreadable),
    /// Not a message: log output on the wrong stream, for example.
    Noise,
}

/// A response whose content has not been read yet.
#[derive(Debug)]
pub struct Response<'a> {
    /// `None` if the server sent none or one that cannot be an id of ours.
    pub id: Option<RequestId>,
    pub body: Body<'a>,
}

/// The content of a response.
#[derive(Debug)]
pub enum Body<'a> {
    Result(Cow<'a, RawValue>),
    Error(Cow<'a, RawValue>),
}

/// A response that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The id that was found in it.
    pub id: Option<RequestId>,
    pub reason: String,
    /// How it begins, for the log.
    pub start: String,
    /// It is a request or notification, so no caller waits for it.
    pub is_request: bool,
}

/// The parts of a message that decide what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    method: Option<&'a RawValue>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// Reads one JSON text that holds one message. `None` if it has to be repaired or is not one JSON text.
pub fn read_clean(text: &[u8]) -> Option<Message<'_>> {
    let text = std::str::from_utf8(text).ok()?;
    let head = head_of(text).ok()?;
    match repair::inspect(text) {
        Ok(()) => Some(classify(text, &head)),
        Err(repair::Defect::TooDeep) => Some(too_deep(&head, text)),
        Err(repair::Defect::Repairable) => None,
    }
}

/// The messages in a text that may hold several, damaged or not: one after the other, or in an array.
pub fn read_all(text: &[u8]) -> Vec<Message<'_>> {
    if let Some(message) = read_clean(text) {
        return vec![message];
    }
    let mut scanner = repair::Scanner::default();
    scanner.push(text);
    scanner.end();
    let messages: Vec<Message<'_>> =
        std::iter::from_fn(|| scanner.next_text()).flat_map(|text| read_value(&text)).collect();
    if messages.is_empty() { vec![unreadable(text, "it is not JSON")] } else { messages }
}

/// The messages in one JSON value that has been repaired: one, or several in an array.
pub fn read_value(text: &str) -> Vec<Message<'static>> {
    match elements(text) {
        Some(elements) => elements.iter().map(|element| owned(read_text(element))).collect(),
        None => vec![owned(read_text(text))],
    }
}

/// Reads a text that has been repaired: what is still wrong with it stays wrong.
fn read_text(text: &str) -> Message<'_> {
    match head_of(text) {
        Ok(head) => match repair::inspect(text) {
            Err(repair::Defect::TooDeep) => too_deep(&head, text),
            _ => classify(text, &head),
        },
        Err(error) => unreadable(text.as_bytes(), &format!("it is not a JSON-RPC message ({error})")),
    }
}

fn head_of(text: &str) -> Result<Head<'_>, serde_json::Error> {
    // Serde also reads an array as a struct, member by member.
    if !text.trim_start().starts_with('{') {
        return Err(serde::de::Error::custom("it is not an object"));
    }
    serde_json::from_str(text)
}

fn classify<'a>(text: &'a str, head: &Head<'a>) -> Message<'a> {
    let has_body = head.result.is_some() || head.error.is_some();
    // Some servers repeat the method in a response.
    if head.method.is_some() && !has_body {
        return match head.id {
            Some(_) => Message::Request(text.into()),
            None => Message::Notification(text.into()),
        };
    }
    let id = head.id.and_then(own_id);
    // Some servers send both members, one of them `null`, which reads as absent.
    let body = match (head.result, head.error) {
        (_, Some(error)) => Body::Error(valid_error(error)),
        (Some(result), None) => Body::Result(Cow::Borrowed(result)),
        (None, None) if head.id.is_some() || head.jsonrpc.is_some() => {
            return Message::Unreadable(Unreadable {
                id,
                reason: "it has neither a result nor an error".to_owned(),
                start: start_of(text.as_bytes()),
                is_request: false,
            });
        }
        (None, None) => return Message::Noise,
    };
    Message::Response(Response { id, body })
}

/// An error that clients can read: with a number as its code, and a text.
fn valid_error(error: &RawValue) -> Cow<'_, RawValue> {
    if serde_json::from_str::<ErrorData>(error.get()).is_ok() {
        return Cow::Borrowed(error);
    }
    let mut value: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let text = value.get("message").and_then(Value::as_str).or_else(|| value.as_str());
    let text: String = text.unwrap_or_else(|| error.get()).chars().take(LONGEST_ERROR).collect();
    let code = value.get("code").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok());
    let code = code.map_or(ErrorCode::INTERNAL_ERROR, ErrorCode);
    let data = value.get_mut("data").map(Value::take);
    to_raw_value(&ErrorData::new(code, text, data)).map_or(Cow::Borrowed(error), Cow::Owned)
}

fn too_deep<'a>(head: &Head<'_>, text: &str) -> Message<'a> {
    Message::Unreadable(Unreadable {
        id: head.id.and_then(own_id),
        reason: format!("it is nested more than {MAX_DEPTH} levels deep"),
        start: start_of(text.as_bytes()),
        is_request: head.method.is_some(),
    })
}

/// An id that may be one of ours. Ours are whole numbers; some servers return them as strings or with a fraction.
fn own_id(id: &RawValue) -> Option<RequestId> {
    let number = match serde_json::from_str(id.get()).ok()? {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(NumberOrString::Number)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be a whole number within 2^53"
)]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// The elements of a JSON-RPC batch.
fn elements(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let all_objects = elements.iter().all(|element| element.get().starts_with('{'));
    (all_objects && !elements.is_empty()).then(|| elements.iter().map(|element| element.get().to_owned()).collect())
}

/// Describes a text that is not valid JSON, if it was meant as a message at all.
pub fn unreadable(text: &[u8], reason: &str) -> Message<'static> {
    let has = |key: &str| memchr::memmem::find(text, key.as_bytes()).is_some();
    // Single quotes: printed by Python instead of written as JSON.
    if !has("\"jsonrpc\"") && !has("'jsonrpc'") && !(has("\"id\"") && (has("\"result\"") || has("\"error\""))) {
        return Message::Noise;
    }
    let tail = text.get(text.len().saturating_sub(256)..).unwrap_or_default();
    Message::Unreadable(Unreadable {
        id: id_between(text.get(..text.len().min(256)).unwrap_or_default(), tail),
        reason: reason.to_owned(),
        start: start_of(text),
        is_request: (has("\"method\"") || has("'method'")) && !has("\"result\"") && !has("'result'"),
    })
}

/// The response after other text on the same line, such as a log message without its line break.
pub fn response_after_text(text: &[u8]) -> Option<&[u8]> {
    memchr::memmem::find(text, b"\"jsonrpc\"")?;
    let starts = memchr::memchr_iter(b'{', text).take(MOST_STARTS);
    starts.filter_map(|at| text.get(at..)).find(|rest| matches!(read_clean(rest), Some(Message::Response(_))))
}

/// The message in a JSON string: some servers encode their messages twice.
pub fn from_json_string(text: &[u8]) -> Option<Vec<u8>> {
    if !text.starts_with(b"\"{") {
        return None;
    }
    let message: String = serde_json::from_slice(text).ok()?;
    memchr::memmem::find(message.as_bytes(), b"\"jsonrpc\"")?;
    Some(message.into_bytes())
}

/// A line of UTF-16 as UTF-8, as far as it is ASCII.
pub fn from_utf16(text: &[u8]) -> Option<Vec<u8>> {
    let zeros = memchr::memchr_iter(0, text).count();
    let is_wide = zeros > 8 && zeros * 5 > text.len() * 2;
    is_wide.then(|| text.iter().copied().filter(|byte| !matches!(byte, 0 | 0xfe | 0xff)).collect())
}

/// The id of a message of which only the start and the end are known: libraries write it before the result or last.
pub fn id_between(start: &[u8], end: &[u8]) -> Option<RequestId> {
    let start = String::from_utf8_lossy(start);
    let before_result = start.split("\"result\"").next().unwrap_or_default();
    let before_result = before_result.split("\"error\"").next().unwrap_or_default();
    if let Some(rest) = after_id(before_result, str::split_once) {
        let first = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next()?;
        return own_id(first.ok()?);
    }
    let end = String::from_utf8_lossy(end);
    let rest = after_id(end.trim_end().strip_suffix('}')?, str::rsplit_once)?;
    own_id(serde_json::from_str(rest).ok()?)
}

fn after_id<'a>(text: &'a str, split: impl Fn(&'a str, &'static str) -> Option<(&'a str, &'a str)>) -> Option<&'a str> {
    let (_, rest) = split(text, "\"id\"")?;
    rest.trim_start().strip_prefix(':')
}

/// Reads a request or notification; one without `jsonrpc` is taken, too.
///
/// # Errors
/// The library does not know it.
pub fn read_typed(text: &str) -> Result<RxJsonRpcMessage<RoleClient>, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let mut value: Value = serde_json::from_str(text)?;
        match value.as_object_mut() {
            Some(fields) if fields.get("jsonrpc") != Some(&"2.0".into()) => {
                fields.insert("jsonrpc".into(), "2.0".into())
            }
            _ => return Err(error),
        };
        serde_json::from_value(value)
    })
}

/// The first bytes of a message, on one line and short enough for a log.
pub fn start_of(text: &[u8]) -> String {
    let start = String::from_utf8_lossy(text.get(..text.len().min(200)).unwrap_or_default());
    start.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A message on one line. Line breaks between a client's arguments would end it early.
pub fn line_of(message: &impl Serialize) -> Option<Vec<u8>> {
    let mut line = restored(serde_json::to_vec(message).ok()?);
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Some(line)
}

fn owned(message: Message<'_>) -> Message<'static> {
    match message {
        Message::Response(Response { id, body }) => {
            let body = match body {
                Body::Result(text) => Body::Result(Cow::Owned(text.into_owned())),
                Body::Error(text) => Body::Error(Cow::Owned(text.into_owned())),
            };
            Message::Response(Response { id, body })
        }
        Message::Request(text) => Message::Request(Cow::Owned(text.into_owned())),
        Message::Notification(text) => Message::Notification(Cow::Owned(text.into_owned())),
        Message::Unreadable(unreadable) => Message::Unreadable(unreadable),
        Message::Noise => Message::Noise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> Option<RequestId> {
        Some(NumberOrString::Number(number))
    }

    fn read(text: &[u8]) -> Message<'static> {
        let mut messages: Vec<Message<'static>> = read_all(text).into_iter().map(owned).collect();
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    fn result(text: &str) -> (Option<RequestId>, String) {
        match read(text.as_bytes()) {
            Message::Response(Response {
                id,
                body: Body::Result(text),
            }) => (id, text.get().to_owned()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_id_is_compared_by_its_value() {
        for written in ["7", "\"7\"", "7.0", "7e0", "\" 7 \""] {
            assert_eq!(result(&format!(r#"{{"jsonrpc":"2.0","id":{written},"result":{{}}}}"#)).0, id(7), "{written}");
        }
        for written in ["null", "\"x\"", "7.5", "[7]", "{}", "1e300"] {
            assert_eq!(result(&format!(r#"{{"jsonrpc":"2.0","id":{written},"result":{{}}}}"#)).0, None, "{written}");
        }
    }

    #[test]
    fn a_clean_result_keeps_its_bytes() {
        let text = r#"{"id":1,"result":{ "a" : 1.50, "b":18446744073709551616, "c":"\ud83d\ude00" }}"#;
        assert_eq!(result(text).1, r#"{ "a" : 1.50, "b":18446744073709551616, "c":"\ud83d\ude00" }"#);
    }

    #[test]
    fn text_that_would_break_a_client_is_repaired() {
        for (sent, expected) in [
            (r#"{"id":1,"result":{"t":"cut \ud83d"}}"#, r#"{"t":"cut \ufffd"}"#),
            (r#"{"id":1,"result":{"t":"\ude00 \ud83dx"}}"#, r#"{"t":"\ufffd \ufffdx"}"#),
            (r#"{"id":1,"result":{"mean":NaN,"max":-Infinity}}"#, r#"{"mean":null,"max":null}"#),
            ("{\"id\":1,\"result\":{\"t\":\"a\tb\u{1}\"}}", r#"{"t":"a\tb\u0001"}"#),
            (r#"{"id":1,"result":{"n":1e400,"m":-1E999,"k":NaN}}"#, r#"{"n":1e400,"m":-1E999,"k":null}"#),
            (r#"{"id":1,"result":{"t":"\x41 \u12"}}"#, r#"{"t":"\\x41 \\u12"}"#),
        ] {
            assert_eq!(result(sent).1, expected, "{sent}");
            let value: Value = serde_json::from_str(expected).unwrap();
            assert!(value.is_object());
        }
        let latin = b"{\"id\":1,\"result\":{\"t\":\"caf\xe9\"}}";
        let Message::Response(Response {
            body: Body::Result(text),
            ..
        }) = read(latin)
        else {
            panic!()
        };
        assert_eq!(text.get(), "{\"t\":\"caf\u{fffd}\"}");
    }

    #[test]
    fn a_message_nested_too_deep_is_refused_with_its_id() {
        let deep = format!(r#"{{"id":5,"result":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let Message::Unreadable(unreadable) = read(deep.as_bytes()) else { panic!() };
        assert_eq!(unreadable.id, id(5));
        assert!(unreadable.reason.contains("levels deep") && !unreadable.is_request);
        let flat = format!(r#"{{"id":5,"result":["{}"]}}"#, "[".repeat(500));
        assert_eq!(result(&flat).0, id(5));
    }

    #[test]
    fn a_response_without_content_fails_its_caller_and_log_output_fails_no_call() {
        let Message::Unreadable(unreadable) = read(br#"{"jsonrpc":"2.0","id":3,"result":null}"#) else {
            panic!()
        };
        assert_eq!(unreadable.id, id(3));
        let Message::Unreadable(cut) = read(br#"{"jsonrpc":"2.0","id":"4","result":{"a":"#) else {
            panic!()
        };
        assert_eq!((cut.id, cut.is_request), (id(4), false));
        let Message::Unreadable(other_names) = read(br#"{"jsonrpc":"2.0","ID":5,"Result":{}}"#) else {
            panic!()
        };
        assert_eq!((other_names.id, other_names.is_request), (None, false));
        for noise in [r#"{"level":"info"}"#, "{ host: 'x' }", "Listening", "[1]", ""] {
            assert!(matches!(read(noise.as_bytes()), Message::Noise), "{noise}");
        }
    }

    #[test]
    fn several_messages_in_one_text_are_all_read() {
        let both =
            r#"{"id":1,"result":{}}{"method":"notifications/x"} [{"id":2,"error":{}},{"method":"ping","id":"a"}]"#;
        let kinds: Vec<u8> = read_all(both.as_bytes())
            .iter()
            .map(|message| match message {
                Message::Response(_) => b'r',
                Message::Request(_) => b'q',
                Message::Notification(_) => b'n',
                _ => b'?',
            })
            .collect();
        assert_eq!(kinds, b"rnrq");
    }

    #[test]
    fn the_id_is_found_before_the_result_and_after_it() {
        let long = "x".repeat(1000);
        let body = format!(r#"{{"content":[{{"text":"{long}","id":9}}]}}"#);
        let find = |text: &str| {
            let bytes = text.as_bytes();
            id_between(&bytes[..bytes.len().min(256)], &bytes[bytes.len().saturating_sub(256)..])
        };
        assert_eq!(find(&format!(r#"{{"jsonrpc":"2.0","id":5,"result":{body}}}"#)), id(5));
        assert_eq!(find(&format!(r#"{{"id" : "6", "jsonrpc":"2.0","result":{body}}}"#)), id(6));
        assert_eq!(find(&format!("{{\"result\":{body},\"jsonrpc\":\"2.0\",\"id\": 12}}\r\n")), id(12));
        assert_eq!(find(&format!(r#"{{"jsonrpc":"2.0","result":{body}}}"#)), None);
        assert_eq!(find(""), None);
    }
}
