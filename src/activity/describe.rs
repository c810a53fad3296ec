//! Converts a reported call or change to the stored record.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::activity::bodies::{examine, redacted};
use crate::activity::call::{Call, Change, LONGEST_BODY, Listing, cut};
use crate::activity::call_tokens;
use crate::activity::counted_sessions::TOOLS_LIST;
use crate::contract::api::{ActivityKind, ActivityRecord, ActivitySource, ActivityStatus};

/// A call or change, and when it happened.
#[derive(Debug)]
pub(super) enum Report {
    Call(Box<Call>, Timestamp),
    Change(Box<Change>, Timestamp),
    Listing(Box<Listing>, Timestamp),
}

impl Report {
    /// Bytes of arguments and results, which the queue limits.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Report::Call(call, _) => call.arguments.len() + call.response.len(),
            Report::Change(..) | Report::Listing(..) => 0,
        }
    }

    pub(super) fn record(&self) -> ActivityRecord {
        match self {
            Report::Call(call, at) => self::call(call, *at),
            Report::Change(change, at) => self::change(change, *at),
            Report::Listing(listing, at) => self::listing(listing, *at),
        }
    }
}

/// Maximum length of a stored error, in characters. An error may repeat arguments of the call.
const LONGEST_ERROR: usize = 200;

/// Returns the record of a call.
pub(super) fn call(call: &Call, at: Timestamp) -> ActivityRecord {
    let examined = examine(call.policy, &call.arguments, &call.response);
    let response_tokens = call_tokens::of_response(call);
    ActivityRecord {
        id: String::new(),
        kind: call.kind.clone(),
        source: call.source.clone(),
        server_name: call.server.clone(),
        tool_name: call.tool.clone(),
        status: call.status.clone(),
        error_message: call.error.as_deref().map(error),
        duration_ms: u64::try_from(call.took.as_millis()).unwrap_or(u64::MAX),
        timestamp: at.to_string(),
        client_name: call.client.clone(),
        session_id: call.session.clone(),
        profile: call.profile.clone(),
        intent: call.intent.clone(),
        request_bytes: call.request_bytes,
        response_bytes: call.response_bytes,
        request_tokens: call_tokens::of_arguments(call),
        response_tokens,
        saved_tokens: response_tokens.filter(|_| call.finds_tools).map(|tokens| 0_i64.saturating_sub_unsigned(tokens)),
        has_sensitive_data: !examined.detections.is_empty(),
        detection_types: examined.rules(),
        max_severity: examined.severity,
        detections: examined.detections,
        response_truncated: call.response_truncated && examined.response.is_some(),
        arguments: examined.arguments,
        response: examined.response,
        metadata: None,
    }
}

/// Returns the record of a list of tools.
fn listing(listing: &Listing, at: Timestamp) -> ActivityRecord {
    let all_tools = i64::try_from(listing.all_tools_tokens).unwrap_or(i64::MAX);
    ActivityRecord {
        kind: ActivityKind::InternalToolCall,
        source: ActivitySource::Mcp,
        tool_name: TOOLS_LIST.to_owned(),
        status: ActivityStatus::Success,
        timestamp: at.to_string(),
        client_name: listing.client.clone(),
        session_id: listing.session.clone(),
        profile: listing.profile.clone(),
        response_tokens: Some(listing.tokens),
        saved_tokens: Some(all_tools.saturating_sub_unsigned(listing.tokens)),
        ..ActivityRecord::default()
    }
}

/// Returns the record of a change.
pub(super) fn change(change: &Change, at: Timestamp) -> ActivityRecord {
    let mut metadata = Map::new();
    if !change.by.is_empty() {
        metadata.insert("by".to_owned(), change.by.clone().into());
    }
    match &change.details {
        Some(Value::Object(details)) => metadata.extend(details.clone()),
        Some(other) => {
            metadata.insert("details".to_owned(), other.clone());
        }
        None => {}
    }
    ActivityRecord {
        kind: change.kind.clone(),
        source: ActivitySource::Core,
        server_name: change.server.clone(),
        tool_name: change.tool.clone(),
        status: if change.failed { ActivityStatus::Error } else { ActivityStatus::Success },
        error_message: change.error.as_deref().map(error),
        timestamp: at.to_string(),
        metadata: (!metadata.is_empty()).then_some(Value::Object(metadata)),
        ..ActivityRecord::default()
    }
}

fn error(text: &str) -> String {
    let (line, _) = cut(text.lines().next().unwrap_or_default(), LONGEST_BODY);
    // Shortened afterwards, because the start of a secret is not recognised.
    redacted(line).chars().take(LONGEST_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_first_words_without_secrets() {
        let told = Call {
            kind: ActivityKind::ToolCall,
            status: ActivityStatus::Error,
            error: Some(format!("bad ghp_{}{}\nsecond line", "a1B2".repeat(9), " ä".repeat(300))),
            ..Call::default()
        };
        let record = call(&told, Timestamp::UNIX_EPOCH);
        let message = record.error_message.unwrap();
        assert!(message.starts_with("bad [redacted: github-token] ä"), "{message}");
        assert!(message.chars().count() == LONGEST_ERROR && !message.contains("second"), "{message}");
    }
}
