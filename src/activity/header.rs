//! The fields of a record that filters and totals read.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use crate::contract::api::{ActivityKind, ActivityRecord, ActivityStatus};

/// A part of [`ActivityRecord`], borrowed from its JSON where possible. Reading a header takes a fraction of the time of
/// reading the record.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header<'a> {
    #[serde(rename = "type")]
    pub kind: ActivityKind,
    #[serde(borrow)]
    pub server_name: Cow<'a, str>,
    #[serde(borrow)]
    pub tool_name: Cow<'a, str>,
    pub status: ActivityStatus,
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    pub error_message: Option<Cow<'a, str>>,
    pub client_name: Option<Cow<'a, str>>,
    pub session_id: Option<Cow<'a, str>>,
    pub has_sensitive_data: bool,
    pub duration_ms: u64,
    pub request_bytes: Option<u64>,
    pub response_bytes: Option<u64>,
    pub request_tokens: Option<u64>,
    pub response_tokens: Option<u64>,
    pub saved_tokens: Option<i64>,
}

impl<'a> Header<'a> {
    /// Returns the header of a record.
    pub(super) fn of(record: &'a ActivityRecord) -> Header<'a> {
        let optional = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        Header {
            kind: record.kind.clone(),
            server_name: Cow::Borrowed(&record.server_name),
            tool_name: Cow::Borrowed(&record.tool_name),
            status: record.status.clone(),
            timestamp: Cow::Borrowed(&record.timestamp),
            error_message: optional(&record.error_message),
            client_name: optional(&record.client_name),
            session_id: optional(&record.session_id),
            has_sensitive_data: record.has_sensitive_data,
            duration_ms: record.duration_ms,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            request_tokens: record.request_tokens,
            response_tokens: record.response_tokens,
            saved_tokens: record.saved_tokens,
        }
    }

    /// Returns the header of a record in JSON; `None` if it is unreadable.
    pub(super) fn parse(json: &'a [u8]) -> Option<Header<'a>> {
        serde_json::from_slice(json).ok()
    }

    /// Returns the time of the record; `None` if it is unreadable.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.timestamp.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_read_from_json_equals_the_header_of_the_record() {
        let record = ActivityRecord {
            kind: "tool_call".into(),
            server_name: "a \"b\"".into(),
            tool_name: "t".into(),
            status: "error".into(),
            error_message: Some("why\n".into()),
            client_name: Some("cursor".into()),
            timestamp: "2026-01-02T03:04:05.6Z".into(),
            arguments: Some(serde_json::json!({"type": "x", "status": ["y"]})),
            duration_ms: 7,
            response_bytes: Some(3),
            saved_tokens: Some(-2),
            ..ActivityRecord::default()
        };
        let json = serde_json::to_vec(&record).unwrap();
        let read = Header::parse(&json).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", Header::of(&record)));
        assert!(read.at().is_some() && Header::parse(b"[").is_none());
    }
}
