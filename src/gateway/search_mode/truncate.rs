//! Truncates results that are too long for a model, and splits them into records to read.

use serde_json::Value;

/// Maximum length of a record made from text. Longer lines become several records.
const LONGEST_LINE: usize = 1000;
/// Maximum nesting of an array whose elements can be records.
const DEPTH: usize = 4;

/// Returns the first `limit` characters. Never splits an escape such as `\u00e9` in JSON text.
pub fn start(text: &str, limit: usize) -> &str {
    let end = text.char_indices().nth(limit).map_or(text.len(), |(end, _)| end);
    let head = text.get(..end).unwrap_or(text);
    if !is_json(text) {
        return head;
    }
    let mut at = 0;
    while let Some(found) = text.get(at..end).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = escape + escape_length(text.get(escape..).unwrap_or_default());
        if at > end {
            return text.get(..escape).unwrap_or(head);
        }
    }
    head
}

/// Whether a text has more than `limit` characters; 0 means unlimited.
pub fn is_longer(text: &str, limit: usize) -> bool {
    limit > 0 && text.len() > limit && text.chars().nth(limit).is_some()
}

/// A text split into records.
#[derive(Debug, PartialEq)]
pub struct Records {
    pub records: Vec<Value>,
    /// Path of the records in JSON text (`""` is the top level); `None` if the records are lines.
    pub path: Option<String>,
}

/// Returns the elements of an array if it makes up at least nine tenths of the JSON text, otherwise lines: reading the
/// records must not lose the rest of the text.
pub fn records(text: &str) -> Records {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let whole = length(&value);
        let found = arrays(&value, String::new(), DEPTH).into_iter().max_by_key(|(_, array)| length(array));
        if let Some((path, Value::Array(records))) = found
            && records.len() > 1
            && length(&Value::Array(records.clone())).saturating_mul(10) >= whole.saturating_mul(9)
        {
            let (records, path) = (records.clone(), Some(path));
            return Records { records, path };
        }
    }
    let records = text.split_inclusive('\n').flat_map(pieces).map(Value::from).collect();
    Records { records, path: None }
}

/// Returns the records from `offset` that fit in `room` characters (0 means unlimited), at least one and at most
/// `limit`.
pub fn page(records: &[Value], offset: usize, limit: usize, room: usize) -> &[Value] {
    let rest = records.get(offset..).unwrap_or_default();
    let mut used = 0;
    let fits = |record: &&Value| {
        used += length(record);
        room == 0 || used <= room
    };
    let count = rest.iter().take(limit).take_while(fits).count().max(1);
    rest.get(..count).unwrap_or_default()
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Returns the length of the escape at the start of the text. Treats a surrogate pair as one escape.
fn escape_length(text: &str) -> usize {
    let upper_half = |digits: &str| matches!(u16::from_str_radix(digits, 16), Ok(0xD800..=0xDBFF));
    match text.get(1..2) {
        Some("u") if text.get(2..6).is_some_and(upper_half) && text.get(6..8) == Some("\\u") => 12,
        Some("u") => 6,
        _ => 2,
    }
}

fn arrays(value: &Value, path: String, depth: usize) -> Vec<(String, &Value)> {
    match value {
        Value::Array(_) => vec![(path, value)],
        Value::Object(map) if depth > 0 => {
            let below = |(key, value)| {
                arrays(value, if path.is_empty() { String::clone(key) } else { format!("{path}.{key}") }, depth - 1)
            };
            map.iter().flat_map(below).collect()
        }
        _ => Vec::new(),
    }
}

fn pieces(line: &str) -> Vec<&str> {
    let mut rest = line;
    let mut pieces = Vec::new();
    while let Some((end, _)) = rest.char_indices().nth(LONGEST_LINE) {
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

fn length(value: &Value) -> usize {
    value.to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_counts_characters_and_zero_is_none() {
        assert!(!is_longer("äöü", 3));
        assert!(is_longer("äöü", 2));
        assert!(!is_longer("äöü", 0));
        assert_eq!(start("äöü", 2), "äö");
    }

    #[test]
    fn json_text_is_never_cut_inside_an_escape() {
        let text = r#"["a\u00e9b\ud83d\ude00c\n"]"#;
        for limit in 0..text.len() {
            let head = start(text, limit);
            let closed = format!("{head}\"]");
            let readable = limit < 2 || head.ends_with("\"]") || serde_json::from_str::<Value>(&closed).is_ok();
            assert!(readable || head.ends_with('"'), "{limit}: {head}");
        }
        // Outside of JSON text, a backslash is an ordinary character.
        assert_eq!(start(r"C:\users", 3), r"C:\");
    }

    #[test]
    fn the_array_that_is_nearly_everything_is_the_records() {
        let items: Vec<Value> = (0..50).map(|number| json!({"number": number})).collect();
        let found = records(&json!({"ok": true, "data": {"items": items}}).to_string());
        assert_eq!((found.path.as_deref(), found.records.len()), (Some("data.items"), 50));
        assert_eq!(records(&json!(items).to_string()).path.as_deref(), Some(""));
    }

    #[test]
    fn an_array_beside_longer_content_is_not_used_as_records() {
        let text = json!({"log": "x".repeat(2500), "tags": ["a", "b"]}).to_string();
        let found = records(&text);
        assert_eq!((found.path, found.records.len()), (None, 3));
    }

    #[test]
    fn a_page_has_what_fits_and_always_goes_on() {
        let many: Vec<Value> = (0..10).map(|_| json!("12345678")).collect();
        assert_eq!(page(&many, 0, 50, 35).len(), 3);
        assert_eq!(page(&many, 8, 50, 0).len(), 2);
        assert_eq!(page(&many, 0, 4, 0).len(), 4);
        assert_eq!(page(&many, 0, 50, 3).len(), 1);
        assert!(page(&many, 10, 50, 0).is_empty());
    }

    proptest! {
        #[test]
        fn lines_put_together_are_the_text(text in "(.{0,30}\n?){0,20}") {
            let found = records(&text);
            if found.path.is_none() {
                let whole: String = found.records.iter().filter_map(Value::as_str).collect();
                prop_assert_eq!(whole, text);
            }
        }

        #[test]
        fn a_start_is_a_start_within_the_limit(text in any::<String>(), limit in 0_usize..40) {
            let head = start(&text, limit);
            prop_assert!(text.starts_with(head) && head.chars().count() <= limit);
        }
    }
}
