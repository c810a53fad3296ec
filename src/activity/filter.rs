//! Filters records.

use jiff::Timestamp;

use crate::activity::header::Header;
use crate::contract::words::{ActivityKind, ActivityStatus};

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
    /// Whether every record matches.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether the filter reads only what records are counted by: type, status, server and tool.
    pub(super) fn is_counted(&self) -> bool {
        *self
            == Filter {
                kinds: self.kinds.clone(),
                status: self.status.clone(),
                server: self.server.clone(),
                tool: self.tool.clone(),
                ..Filter::default()
            }
    }

    /// Whether a record matches.
    pub(super) fn matches(&self, record: &Header<'_>) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
        self.matches_counted(&record.kind, &record.status, &record.server_name, &record.tool_name)
            && is(&self.client, record.client_name.as_deref().unwrap_or_default())
            && is(&self.session, record.session_id.as_deref().unwrap_or_default())
            && self.sensitive.is_none_or(|sensitive| sensitive == record.has_sensitive_data)
            && self.text.as_deref().is_none_or(|text| contains(record, text))
            && self.since.is_none_or(|since| record.at().is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| record.at().is_some_and(|at| at < until))
    }

    /// Whether records with these values match the parts that records are counted by.
    pub(super) fn matches_counted(
        &self,
        kind: &ActivityKind,
        status: &ActivityStatus,
        server: &str,
        tool: &str,
    ) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
        (self.kinds.is_empty() || self.kinds.contains(kind))
            && self.status.as_ref().is_none_or(|wanted| wanted == status)
            && is(&self.server, server)
            && is(&self.tool, tool)
    }
}

fn contains(record: &Header<'_>, text: &str) -> bool {
    let text = text.to_lowercase();
    [
        Some(&record.server_name),
        Some(&record.tool_name),
        record.client_name.as_ref(),
        record.error_message.as_ref(),
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
        let record = Header {
            kind: ActivityKind::ToolCall,
            server_name: "Files".into(),
            tool_name: "read".into(),
            status: ActivityStatus::Error,
            client_name: Some("cursor".into()),
            timestamp: "2026-01-02T03:04:05Z".into(),
            has_sensitive_data: true,
            ..Header::default()
        };
        let some = |text: &str| Some(text.to_owned());
        let at = |text: &str| Some(text.parse().unwrap());
        let base = Filter::default;
        let counted = Filter {
            server: some("a"),
            ..base()
        };
        assert!(counted.is_counted() && !counted.is_empty());
        let paged = Filter {
            before: Some(1),
            ..base()
        };
        assert!(!paged.is_counted() && !paged.is_empty());
        let timed = Filter {
            since: at("2026-01-02T03:04:05Z"),
            ..base()
        };
        assert!(!timed.is_counted());
        assert!(base().is_empty() && base().matches(&record));
        for (filter, matches) in [
            (
                Filter {
                    kinds: vec![ActivityKind::ToolCall, "x".into()],
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
