//! Describes a call for the activity log: the caller, the tool, the result, and the contents that the policy allows.

use std::time::Instant;

use axum::http::request::Parts;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, Extensions, ResourceContents};
use rmcp::service::{RequestContext, RoleServer};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::activity::BodyPolicy;
use crate::activity::call::{Call, LONGEST_BODY, cut};
use crate::catalog::call_variant::Intent;
use crate::contract::api::{ActivityKind, ActivitySource, ActivityStatus, CallIntent};
use crate::contract::exact_numbers::restore_text;
use crate::gateway::call_log::Ended;
use crate::gateway::http::headers::{SESSION_ID, text};
use crate::gateway::search_mode::definitions::{DESCRIBE_TOOL, RETRIEVE_TOOLS};
use crate::gateway::session_usage::session_label;
use crate::gateway::tool_answer::ToolAnswer;

/// A call to record.
#[derive(Clone, Copy)]
pub struct CallRecorder<'a> {
    pub since: Instant,
    pub server: &'a str,
    pub tool: &'a str,
    pub intent: Option<Intent>,
    /// The tool's arguments as JSON.
    pub arguments: &'a str,
    pub caller: Option<&'a Caller>,
}

/// The caller.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub client: Option<String>,
    pub session: Option<String>,
    pub profile: Option<String>,
}

impl Caller {
    /// Returns the caller of a request on the library path.
    pub fn of(context: &RequestContext<RoleServer>) -> Caller {
        Caller {
            client: context.client_info().map(|client| client.name),
            session: session_of(&context.extensions),
            profile: None,
        }
    }

    /// Adds the profile that limits the request.
    pub fn within(mut self, profile: Option<&str>) -> Caller {
        self.profile = profile.map(str::to_owned);
        self
    }
}

fn session_of(extensions: &Extensions) -> Option<String> {
    let parts = extensions.get::<Parts>()?;
    text(&parts.headers, SESSION_ID).map(session_label)
}

/// The recorded contents of a result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents<'a> {
    /// Text, or the complete result as JSON.
    pub text: &'a str,
    pub is_json: bool,
    /// The length of the complete contents.
    pub bytes: Option<u64>,
    /// The length of the text that the client received, if it is not `bytes`.
    pub received_bytes: Option<u64>,
}

/// A result in JSON, unparsed.
#[derive(Deserialize)]
struct RawResult<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "structuredContent")]
    structured: Option<&'a RawValue>,
}

/// A block of content, or the resource in it, unparsed.
#[derive(Deserialize)]
struct RawBlock<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
}

impl RawBlock<'_> {
    fn text_of(block: &RawValue) -> Option<String> {
        let block: RawBlock<'_> = serde_json::from_str(block.get()).ok()?;
        let text = match (block.text, block.resource) {
            (Some(text), _) => text,
            (None, Some(resource)) => serde_json::from_str::<RawBlock<'_>>(resource.get()).ok()?.text?,
            (None, None) => return None,
        };
        serde_json::from_str(text.get()).ok()
    }
}

/// The text of a complete result.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResultText {
    /// At most about [`LONGEST_BODY`].
    pub text: String,
    bytes: u64,
    received_bytes: u64,
    pub is_error: bool,
}

impl ResultText {
    pub fn contents(&self) -> Contents<'_> {
        Contents {
            text: &self.text,
            is_json: false,
            bytes: Some(self.bytes),
            received_bytes: Some(self.received_bytes).filter(|received| *received < self.bytes),
        }
    }

    /// Returns the text of a result in JSON that is too long to be recorded; `None` for a shorter one. The start of the JSON
    /// does not show how much of the rest is text: it may be an image, or structured content that repeats the text.
    pub fn of_long_json(json: &str) -> Option<ResultText> {
        if json.len() <= LONGEST_BODY {
            return None;
        }
        let whole = || ResultText::joined([(json, 0)].into_iter(), false);
        let Ok(result) = serde_json::from_str::<RawResult<'_>>(json) else {
            return Some(whole());
        };
        let mut joined = ResultText::default();
        for text in result.content.into_iter().filter_map(RawBlock::text_of) {
            joined.add(&text, 0);
        }
        if let Some(structured) = result.structured.filter(|_| joined.bytes == 0) {
            joined.add(structured.get(), 0);
        }
        Some(joined)
    }

    /// Like [`contents`](ResultText::contents), with the length of the JSON that contains the text.
    pub fn contents_of_json(&self, bytes: usize) -> Contents<'_> {
        Contents {
            bytes: Some(bytes as u64),
            received_bytes: Some(self.received_bytes),
            ..self.contents()
        }
    }

    /// Returns the text of a response; `None` while the call continues. For the client, each block of text is cut after
    /// `limit` characters, unless it is 0.
    pub fn of_answer(answer: &ToolAnswer, limit: usize) -> Option<ResultText> {
        match answer {
            ToolAnswer::Raw(result) => {
                let blocks = result.get("content").and_then(Value::as_array).into_iter().flatten();
                let texts = blocks.filter_map(|block| match block.get("text") {
                    Some(text) => Some((text.as_str()?, limit)),
                    None => Some((block.get("resource")?.get("text")?.as_str()?, 0)),
                });
                let is_error = result.get("isError") == Some(&Value::Bool(true));
                Some(ResultText::joined(texts, is_error).or_structured(result.get("structuredContent"), limit))
            }
            ToolAnswer::Response(CallToolResponse::Complete(result)) => Some(ResultText::of(result, limit)),
            ToolAnswer::Response(_) => None,
        }
    }

    /// Returns the text of a result of the library's type.
    pub fn of(result: &CallToolResult, limit: usize) -> ResultText {
        let limit_of = |block: &ContentBlock| if block.as_text().is_some() { limit } else { 0 };
        let texts = result.content.iter().filter_map(|block| Some((text_of(block)?, limit_of(block))));
        let joined = ResultText::joined(texts, result.is_error == Some(true));
        joined.or_structured(result.structured_content.as_ref(), limit)
    }

    /// Structured content counts only without text, because it usually repeats the text.
    fn or_structured(self, structured: Option<&Value>, limit: usize) -> ResultText {
        match structured {
            Some(structured) if self.bytes == 0 => {
                let text = structured.to_string();
                ResultText::joined([(restore_text(&text).as_ref(), limit)].into_iter(), self.is_error)
            }
            _ => self,
        }
    }

    /// Joins texts, each with the number of characters after which it is cut for the client.
    fn joined<'a>(texts: impl Iterator<Item = (&'a str, usize)>, is_error: bool) -> ResultText {
        let mut joined = ResultText {
            is_error,
            ..ResultText::default()
        };
        for (text, limit) in texts {
            joined.add(text, limit);
        }
        joined
    }

    fn add(&mut self, text: &str, limit: usize) {
        self.bytes += text.len() as u64;
        self.received_bytes += cut_after(text, limit) as u64;
        // One byte more than the recorded length shows that the text is incomplete.
        let room = (LONGEST_BODY + 4).saturating_sub(self.text.len());
        if !self.text.is_empty() && room > 0 {
            self.text.push('\n');
        }
        self.text.push_str(cut(text, room).0);
    }
}

/// Returns the text of a block, or of the resource in it.
fn text_of(block: &ContentBlock) -> Option<&str> {
    match block {
        ContentBlock::Text(block) => Some(&block.text),
        ContentBlock::Resource(block) => match &block.resource {
            ResourceContents::TextResourceContents { text, .. } => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the length in bytes of the first `limit` characters; of all if the limit is 0.
fn cut_after(text: &str, limit: usize) -> usize {
    if limit == 0 || text.len() <= limit {
        return text.len();
    }
    text.char_indices().nth(limit).map_or(text.len(), |(end, _)| end)
}

/// Returns the report of a call for the log.
pub fn report(call: CallRecorder<'_>, ended: Ended<'_>, contents: Contents<'_>, policy: BodyPolicy) -> Call {
    let (status, error) = match ended {
        Ended::Success => (ActivityStatus::Success, None),
        Ended::Error(error) => (ActivityStatus::Error, Some(error)),
        Ended::Blocked(error) => (ActivityStatus::Blocked, Some(error)),
    };
    let given = restore_text(call.arguments);
    let (arguments, _) = cut(&given, LONGEST_BODY);
    let (response, response_truncated) = cut(contents.text, LONGEST_BODY);
    let caller = call.caller.cloned().unwrap_or_default();
    Call {
        kind: if call.server.is_empty() {
            ActivityKind::InternalToolCall
        } else {
            ActivityKind::ToolCall
        },
        // Only AI clients have a name and a session.
        source: match call.caller {
            Some(_) => ActivitySource::Mcp,
            None => ActivitySource::Api,
        },
        server: call.server.to_owned(),
        tool: call.tool.to_owned(),
        status,
        // Only the first line is recorded; a server's error may be long.
        error: error.map(|error| cut(error, 1024).0.to_owned()),
        took: call.since.elapsed(),
        client: caller.client,
        session: caller.session,
        profile: caller.profile,
        intent: call.intent.map(recorded),
        request_bytes: Some(given.len() as u64),
        response_bytes: contents.bytes,
        arguments: arguments.to_owned(),
        response: response.to_owned(),
        response_is_json: contents.is_json,
        received_bytes: contents.received_bytes,
        response_truncated,
        finds_tools: call.server.is_empty() && matches!(call.tool, RETRIEVE_TOOLS | DESCRIBE_TOOL),
        policy,
    }
}

fn recorded(intent: Intent) -> CallIntent {
    match intent {
        Intent::Read => CallIntent::Read,
        Intent::Write => CallIntent::Write,
        Intent::Destructive => CallIntent::Destructive,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn contents_are_the_texts_and_their_whole_length() {
        let long = "x".repeat(LONGEST_BODY);
        let raw =
            json!({"content": [{"type": "text", "text": long}, {"type": "text", "text": "more"}], "isError": true});
        let answer = ToolAnswer::Raw(raw);
        let result = ResultText::of_answer(&answer, 0).unwrap();
        let contents = result.contents();
        assert_eq!((contents.bytes, result.is_error), (Some(LONGEST_BODY as u64 + 4), true));
        assert!(result.text.len() > LONGEST_BODY && cut(&result.text, LONGEST_BODY).1);
        assert_eq!(contents.received_bytes, None);
        let shortened = ResultText::of_answer(&answer, 1_000).unwrap();
        assert_eq!(shortened.contents().received_bytes, Some(1_004));
        let embedded = json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "inside"}}]});
        let typed: CallToolResult = serde_json::from_value(embedded.clone()).unwrap();
        assert_eq!(ResultText::of(&typed, 0).text, "inside");
        assert_eq!(ResultText::of_answer(&ToolAnswer::Raw(embedded), 0).unwrap().text, "inside");
        let whole = json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "x".repeat(5_000)}}]});
        let whole = ResultText::of_answer(&ToolAnswer::Raw(whole), 1_000).unwrap();
        assert_eq!(whole.contents().received_bytes, None, "only blocks of text are cut");
        let structured = json!({"content": [], "structuredContent": {"a": 1}});
        let typed: CallToolResult = serde_json::from_value(structured.clone()).unwrap();
        assert_eq!(ResultText::of(&typed, 0).text, r#"{"a":1}"#);
        assert_eq!(ResultText::of_answer(&ToolAnswer::Raw(structured), 0).unwrap().text, r#"{"a":1}"#);
        assert_eq!((cut_after("äb", 1), cut_after("äb", 2)), (2, 3));
    }

    #[test]
    fn a_long_result_is_recorded_by_its_text_without_images_and_repetitions() {
        let text = "a \"quoted\" line\n".repeat(10);
        let image = json!({"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo".repeat(50_000)});
        let block = json!({"type": "text", "text": text});
        let embedded = json!({"type": "resource", "resource": {"uri": "a:b", "text": "inside"}});
        let of = |result: &Value| ResultText::of_long_json(&result.to_string());
        let shown = |result: &Value| of(result).map(|found| (found.text.clone(), found.received_bytes));
        let length = text.len() as u64;
        for blocks in [json!([block, image]), json!([image, block])] {
            assert_eq!(shown(&json!({"content": blocks})), Some((text.clone(), length)));
        }
        assert_eq!(shown(&json!({"content": [image, embedded, 7]})), Some(("inside".to_owned(), 6)));
        let long = "word ".repeat(20_000);
        let structured = json!({"content": [{"type": "text", "text": long}], "structuredContent": {"result": long}});
        let found = of(&structured).unwrap();
        assert_eq!((found.received_bytes, found.text.len()), (100_000, LONGEST_BODY + 4));
        let only = json!({"content": [], "structuredContent": {"rows": long}});
        assert_eq!(of(&only).unwrap().received_bytes, 100_011);
        let whole = structured.to_string();
        let contents = found.contents_of_json(whole.len());
        assert_eq!((contents.bytes, contents.received_bytes), (Some(whole.len() as u64), Some(100_000)));
        assert_eq!(of(&json!({"content": [block]})), None, "a short result is recorded as it is");
        // Not what the protocol defines: all of it counts.
        let odd = json!({"content": {"text": long}}).to_string();
        assert_eq!(ResultText::of_long_json(&odd).unwrap().received_bytes, odd.len() as u64);
    }

    #[test]
    fn a_session_is_named_by_something_that_does_not_open_it() {
        let label = session_label("5f6c3f0e-secret");
        assert_eq!((label.len(), label.contains("secret")), (8, false));
        assert_eq!(label, session_label("5f6c3f0e-secret"));
    }
}
