//! Inserts and removes one entry in TOML text by whole lines. Every other byte stays, including line endings.

use std::ops::Range;

use serde_json::{Map, Value};
use toml_edit::{Document, Item, TableLike, Value as Toml};

use crate::ai_clients::format::entries::{Entries, ParseError};

/// The whole document.
pub fn document(text: &str) -> Result<Map<String, Value>, ParseError> {
    parse(text).map(|document| all(&document))
}

/// The entries of the table `container`.
pub fn entries(text: &str, container: &str) -> Result<Entries, ParseError> {
    let document = parse(text)?;
    let Some(item) = document.get(container) else { return Ok(Vec::new()) };
    let not_a_table = || ParseError::of(format!("has a `{container}` that is not a table"));
    let servers = item.as_table_like().ok_or_else(not_a_table)?;
    Ok(servers.iter().map(|(name, item)| (name.to_owned(), json(item))).collect())
}

/// The text with the entry `name`, as the last table.
pub fn with_entry(text: &str, container: &str, name: &str, entry: &Map<String, Value>) -> Result<String, ParseError> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut written = without_entry(text, container, name)?;
    let before = all(&parse(&written)?);
    if !written.is_empty() {
        if !written.ends_with('\n') {
            written.push_str(end);
        }
        written.push_str(end);
    }
    written.push_str(&format!("[{}.{}]{end}", key(container), key(name)));
    for (field, value) in entry {
        written.push_str(&format!("{} = {}{end}", key(field), inline(value)));
    }
    // For example, no table can follow a container that is written inline.
    let by_hand =
        |_| ParseError::of(format!("defines `{container}` in a form to which `[{container}.{name}]` cannot be added"));
    let mut after = all(&parse(&written).map_err(by_hand)?);
    let added = after.get_mut(container).and_then(Value::as_object_mut).and_then(|servers| servers.remove(name));
    if added.as_ref() == Some(&Value::Object(entry.clone())) && same_but_for(before, after, container) {
        return Ok(written);
    }
    Err(by_hand(ParseError::of("")))
}

/// The text without the entry `name`.
pub fn without_entry(text: &str, container: &str, name: &str) -> Result<String, ParseError> {
    let document = parse(text)?;
    let found = document.get(container).and_then(Item::as_table_like).and_then(|servers| servers.get_key_value(name));
    let Some((key, item)) = found else { return Ok(text.to_owned()) };
    let mut spans: Vec<Range<usize>> = Vec::new();
    if item.is_value() {
        spans.extend(key.span().zip(item.span()).map(|(key, value)| key.start..value.end));
    } else {
        collect_spans(item, &mut spans);
    }
    let mut lines: Vec<Range<usize>> = spans.into_iter().map(|span| whole_lines(text, span)).collect();
    lines.sort_by_key(|range| range.start);
    let mut left = String::with_capacity(text.len());
    let mut kept = 0;
    for range in lines {
        left.push_str(text.get(kept..range.start).unwrap_or_default());
        kept = kept.max(range.end);
    }
    let tail = text.get(kept..).unwrap_or_default();
    // Also removes the blank line before the entry.
    if tail.is_empty() || tail.starts_with('\n') || tail.starts_with("\r\n") || tail.starts_with('[') {
        for blank in ["\r\n\r\n", "\n\n"] {
            if left.ends_with(blank) {
                left.truncate(left.len() - blank.len() / 2);
                break;
            }
        }
    }
    left.push_str(tail);
    let by_hand = || ParseError::of(format!("defines `{container}.{name}` on a line with other settings"));
    let (mut before, after) = (all(&document), all(&parse(&left).map_err(|_| by_hand())?));
    if let Some(servers) = before.get_mut(container).and_then(Value::as_object_mut) {
        servers.remove(name);
    }
    if same_but_for(before, after, container) { Ok(left) } else { Err(by_hand()) }
}

fn parse(text: &str) -> Result<Document<&str>, ParseError> {
    Document::parse(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = |before: &str| {
            let line = before.matches('\n').count() + 1;
            (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
        };
        ParseError {
            at: before.map(place),
            problem: error.message().trim().replace('\n', ", "),
        }
    })
}

/// Whether two documents are equal. An empty container equals a missing one.
fn same_but_for(mut one: Map<String, Value>, mut other: Map<String, Value>, container: &str) -> bool {
    for document in [&mut one, &mut other] {
        if document.get(container).and_then(Value::as_object).is_some_and(Map::is_empty) {
            document.shift_remove(container);
        }
    }
    one == other
}

/// The spans of a table's header, of what it holds, and of the tables below it.
fn collect_spans(item: &Item, spans: &mut Vec<Range<usize>>) {
    spans.extend(item.span());
    let mut below = |table: &dyn TableLike| {
        for (name, item) in table.iter() {
            if item.is_value() {
                let key = table.key(name).and_then(toml_edit::Key::span);
                spans.extend(key.zip(item.span()).map(|(key, value)| key.start..value.end));
            } else {
                collect_spans(item, spans);
            }
        }
    };
    if let Some(table) = item.as_table_like() {
        below(table);
    }
    for table in item.as_array_of_tables().into_iter().flat_map(|tables| tables.iter()) {
        below(table);
    }
}

fn whole_lines(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(span.end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| span.end + at + 1);
    start..end
}

fn all(document: &Document<&str>) -> Map<String, Value> {
    document.iter().map(|(key, item)| (key.to_owned(), json(item))).collect()
}

fn json(item: &Item) -> Value {
    let table = |table: &dyn TableLike| table.iter().map(|(key, item)| (key.to_owned(), json(item))).collect();
    match item {
        Item::None => Value::Null,
        Item::Value(Toml::String(text)) => Value::String(text.value().clone()),
        Item::Value(Toml::Integer(number)) => Value::from(*number.value()),
        Item::Value(Toml::Float(number)) => Value::from(*number.value()),
        Item::Value(Toml::Boolean(flag)) => Value::Bool(*flag.value()),
        Item::Value(Toml::Datetime(time)) => Value::String(time.value().to_string()),
        Item::Value(Toml::Array(items)) => items.iter().map(|item| json(&Item::Value(item.clone()))).collect(),
        Item::Value(Toml::InlineTable(inline)) => Value::Object(table(inline)),
        Item::Table(found) => Value::Object(table(found)),
        Item::ArrayOfTables(tables) => tables.iter().map(|found| Value::Object(table(found))).collect(),
    }
}

fn key(name: &str) -> String {
    toml_edit::Key::new(name).to_string()
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => Toml::from(text.as_str()).to_string(),
        Value::Object(fields) => {
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        // Other values of an entry have the same form in JSON and TOML.
        other => other.to_string(),
    }
}
