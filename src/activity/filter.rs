//! Filters records.

use jiff::Timestamp;

use crate::contract::api::{ActivityKind, ActivityRecord, ActivityStatus};

/// A filter; empty parts match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub kinds: Vec<ActivityKind>,
    pub server: Option<String>,
    pub tool: Option<String>,
    pub status: Option<ActivityStatus>,
    pub client: Option<String>,
    pub session: Option<String>,
    /// Only records with sensitive data, or only those without.
    pub sensitive: Option<bool>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Text in the names or the error, regardless of case.
    pub text: Option<String>,
    /// Only records before this ID.
    pub before: Option<u64>,
}

impl Filter {
    /// Whether every record matches, regardless of its ID.
    pub fn is_empty(&self) -> bool {
        let rest = Filter {
            before: None,
            ..self.clone()
        };
        rest == Filter::default()
    }

    /// Whether a record matches.
    pub fn matches(&self, record: &ActivityRecord) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
        let at = || record.timestamp.parse::<Timestamp>().ok();
        (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && is(&self.server, &record.server_name)
            && is(&self.tool, &record.tool_name)
            && self.status.as_ref().is_none_or(|wanted| *wanted == record.status)
            && is(&self.client, record.client_name.as_deref().unwrap_or_default())
            && is(&self.session, record.session_id.as_deref().unwrap_or_default())
            && self.sensitive.is_none_or(|sensitive| sensitive == record.has_sensitive_data)
            && self.text.as_deref().is_none_or(|text| contains(record, text))
            && self.since.is_none_or(|since| at().is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| at().is_some_and(|at| at < until))
    }
}

fn contains(record: &ActivityRecord, text: &str) -> bool {
    let text = text.to_lowercase();
    [
        Some(record.server_name.as_str()),
        Some(record.tool_name.as_str()),
        record.client_name.as_deref(),
        record.error_message.as_deref(),
    ]
    .into_iter()
    .flatten()
    .any(|field| field.to_lowercase().contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_narrows_the_result() {
        let record = ActivityRecord {
            kind: "tool_call".into(),
            server_name: "Files".into(),
            tool_name: "read".into(),
            status: "error".into(),
            client_name: Some("cursor".into()),
            timestamp: "2026-01-02T03:04:05Z".into(),
            has_sensitive_data: true,
            ..ActivityRecord::default()
        };
        let some = |text: &str| Some(text.to_owned());
        let at = |text: &str| Some(text.parse().unwrap());
        let base = Filter::default;
        assert!(base().is_empty() && base().matches(&record));
        for (filter, matches) in [
            (
                Filter {
                    kinds: vec!["tool_call".into(), "x".into()],
                    ..base()
                },
                true,
            ),
            (
                Filter {
                    kinds: vec!["x".into()],
                    ..base()
                },
                false,
            ),
            (
                Filter {
                    server: some("Files"),
                    tool: some("read"),
                    ..base()
                },
                true,
            ),
            (
                Filter {
                    server: some("files"),
                    ..base()
                },
                false,
            ),
            (
                Filter {
                    status: Some(ActivityStatus::Success),
                    ..base()
                },
                false,
            ),
            (
                Filter {
                    client: some("cursor"),
                    ..base()
                },
                true,
            ),
            (
                Filter {
                    session: some("s"),
                    ..base()
                },
                false,
            ),
            (
                Filter {
                    sensitive: Some(true),
                    ..base()
                },
                true,
            ),
            (
                Filter {
                    sensitive: Some(false),
                    ..base()
                },
                false,
            ),
            (
                Filter {
                    text: some("fIl"),
                    ..base()
                },
                true,
            ),
            (
                Filter {
                    text: some("nothing"),
                    ..base()
                },
                false,
            ),
            (
                Filter {
                    since: at("2026-01-02T03:04:05Z"),
                    ..base()
                },
                true,
            ),
            (
                Filter {
                    until: at("2026-01-02T03:04:05Z"),
                    ..base()
                },
                false,
            ),
        ] {
            assert_eq!(filter.matches(&record), matches, "{filter:?}");
        }
    }
}
