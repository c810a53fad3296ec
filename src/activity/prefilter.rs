//! Rules out stored records that cannot match a filter, from their bytes: parsing every record would take most of the
//! time of a search.

use memchr::memchr;
use memchr::memmem::Finder;

use crate::activity::filter::Filter;
use crate::contract::words::{ActivityKind, ActivityStatus};

/// The parts of a filter that can be searched for in the JSON of a record.
pub(super) struct Prefilter {
    /// A matching record contains each of these.
    all: Vec<Finder<'static>>,
    /// A matching record contains one of these, unless there are none.
    any: Vec<Finder<'static>>,
    /// A matching record contains this, in upper or lower case.
    text: Option<Finder<'static>>,
    /// The record in lower case. Reused.
    lowered: Vec<u8>,
}

impl Prefilter {
    pub(super) fn new(filter: &Filter) -> Prefilter {
        let finder = |text: &str| Finder::new(text).into_owned();
        let kinds: Vec<&str> = filter.kinds.iter().map(ActivityKind::word).collect();
        let any = if kinds.iter().all(|kind| is_plain(kind)) { kinds } else { Vec::new() };
        let equal = [&filter.server, &filter.tool, &filter.client, &filter.session].into_iter().flatten();
        let all = equal.map(String::as_str).chain(filter.status.as_ref().map(ActivityStatus::word));
        // The default of the field is `false`, so that only `true` is in every record that matches.
        let all = all.chain(filter.sensitive.filter(|sensitive| *sensitive).map(|_| "true"));
        // Some characters outside of ASCII have a lower case in ASCII, so a text may match in another form.
        let text = filter.text.as_deref().filter(|text| text.is_ascii() && is_plain(text));
        Prefilter {
            all: all.filter(|text| is_plain(text)).map(finder).collect(),
            any: any.into_iter().map(finder).collect(),
            text: text.map(|text| finder(&text.to_ascii_lowercase())),
            lowered: Vec::new(),
        }
    }

    /// Whether a record may match. The answer is `true` for every record that matches, and for a few others.
    pub(super) fn may_match(&mut self, json: &[u8]) -> bool {
        if self.all.is_empty() && self.any.is_empty() && self.text.is_none() {
            return true;
        }
        // Escapes give a text other bytes.
        if memchr(b'\\', json).is_some() {
            return true;
        }
        if !self.all.iter().all(|finder| finder.find(json).is_some()) {
            return false;
        }
        if !self.any.is_empty() && !self.any.iter().any(|finder| finder.find(json).is_some()) {
            return false;
        }
        let Some(text) = &self.text else { return true };
        if !json.is_ascii() {
            return true;
        }
        self.lowered.clear();
        self.lowered.extend(json.iter().map(u8::to_ascii_lowercase));
        text.find(&self.lowered).is_some()
    }
}

/// Whether JSON contains a text as it is, and not only as the empty default of a missing field.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|char| char.is_control() || matches!(char, '"' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::header::Header;
    use crate::contract::api::ActivityRecord;

    fn record(error: &str) -> ActivityRecord {
        ActivityRecord {
            kind: "tool_call".into(),
            server_name: "Dateien über".into(),
            tool_name: "read".into(),
            status: "error".into(),
            error_message: Some(error.to_owned()),
            ..ActivityRecord::default()
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn text(text: &str) -> Filter {
        Filter {
            text: some(text),
            ..Filter::default()
        }
    }

    #[test]
    fn a_record_that_matches_is_never_ruled_out() {
        let errors = [
            "no such file",
            "\"quoted\" and C:\\Users\\a",
            "Größe: 5 \u{212a}",
            "two\nlines\u{1}",
            "\u{130}stanbul",
            "",
        ];
        let words = [
            "NO SUCH",
            "quoted",
            "\"quoted\"",
            "c:\\users",
            "GRÖSSE",
            "grö",
            "5 k",
            "K",
            "two\nlines",
            "lines",
            "\u{1}",
            "i",
            "stan",
            "über",
            "ÜBER",
            "read",
            "nowhere",
            "",
        ];
        let mut filters: Vec<Filter> = words.into_iter().map(text).collect();
        for word in ["Dateien über", "read", "error", "tool_call", "", "other", "a\"b"] {
            filters.extend([
                Filter {
                    server: some(word),
                    ..Filter::default()
                },
                Filter {
                    tool: some(word),
                    ..Filter::default()
                },
                Filter {
                    client: some(word),
                    ..Filter::default()
                },
                Filter {
                    status: Some(word.into()),
                    ..Filter::default()
                },
                Filter {
                    kinds: vec![word.into(), "system_start".into()],
                    ..Filter::default()
                },
            ]);
        }
        filters.extend([Some(true), Some(false)].map(|sensitive| Filter {
            sensitive,
            ..Filter::default()
        }));
        let mut matched = 0;
        for error in errors {
            for has_sensitive_data in [false, true] {
                let record = ActivityRecord {
                    has_sensitive_data,
                    ..record(error)
                };
                let json = serde_json::to_vec(&record).unwrap();
                // The same record as another program may write it.
                let escaped = String::from_utf8(json.clone()).unwrap().replace("read", "r\\u0065ad").into_bytes();
                for filter in &filters {
                    let matches = filter.matches(&Header::of(&record));
                    for json in [&json, &escaped] {
                        let may_match = Prefilter::new(filter).may_match(json);
                        assert!(may_match || !matches, "{filter:?} {}", String::from_utf8_lossy(json));
                    }
                    matched += usize::from(matches);
                }
            }
        }
        assert!(matched > 100, "{matched}");
    }

    #[test]
    fn most_records_that_do_not_match_are_ruled_out() {
        let plain = ActivityRecord {
            server_name: "files".into(),
            ..record("No such file")
        };
        let json = serde_json::to_vec(&plain).unwrap();
        let filters = [
            text("occurs nowhere"),
            Filter {
                kinds: vec!["config_change".into(), "system_start".into()],
                ..Filter::default()
            },
            Filter {
                server: some("other"),
                ..Filter::default()
            },
            Filter {
                sensitive: Some(true),
                ..Filter::default()
            },
        ];
        for filter in filters {
            assert!(!Prefilter::new(&filter).may_match(&json), "{filter:?}");
        }
        assert!(Prefilter::new(&text("no SUCH")).may_match(&json));
    }
}
