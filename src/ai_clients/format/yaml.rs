//! Inserts and removes one entry in YAML text. The result is compared with the input: only our entry may differ.

use std::str::FromStr;

use serde_json::{Map, Value};
use yaml_edit::{Document, Mapping, MappingBuilder, YamlError, YamlNode};

use crate::ai_clients::format::entries::{Entries, ParseError};

/// The whole document, if it is a mapping.
pub fn document(text: &str) -> Result<Map<String, Value>, ParseError> {
    let root = parse(text)?.as_mapping();
    let pairs = root.iter().flat_map(Mapping::iter);
    Ok(pairs.filter_map(|(key, value)| Some((key.as_scalar()?.as_string(), json(&value)))).collect())
}

/// The entries of the mapping `container`.
pub fn entries(text: &str, container: &str) -> Result<Entries, ParseError> {
    let document = parse(text)?;
    let Some(servers) = servers(&document, container)? else { return Ok(Vec::new()) };
    Ok(servers.iter().filter_map(|(name, entry)| Some((name.as_scalar()?.as_string(), json(&entry)))).collect())
}

/// The text with the entry `name`, which is added last.
pub fn with_entry(text: &str, container: &str, name: &str, entry: &Map<String, Value>) -> Result<String, ParseError> {
    let before = without_entry(text, container, name)?;
    let document = parse(&before)?;
    let written = mapping(entry).build_document();
    match servers(&document, container)? {
        Some(servers) => servers.set(name, &written),
        None => {
            let alone = MappingBuilder::new().pair(name, &written).build_document();
            document.set(container, &alone);
        }
    }
    let mut after = document.to_string();
    if !after.ends_with('\n') {
        after.push('\n');
    }
    if before.contains("\r\n") {
        after = after.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if same_but_for(&before, &after, container, name, Some(entry))? && stretch(&before, &after).is_some() {
        return Ok(after);
    }
    Err(by_hand(container, name))
}

/// The text without the entry `name`.
pub fn without_entry(text: &str, container: &str, name: &str) -> Result<String, ParseError> {
    let document = parse(text)?;
    let Some(servers) = servers(&document, container)? else { return Ok(text.to_owned()) };
    if !servers.contains_key(name) {
        return Ok(text.to_owned());
    }
    if servers.len() == 1 {
        document.remove(container);
    } else {
        servers.remove(name);
    }
    let after = document.to_string();
    // A comment in or beside our entry was written by the user.
    let has_comment = |cut: &str| cut.lines().any(|line| line.trim_start().starts_with('#') || line.contains(" #"));
    if same_but_for(&after, text, container, name, None)? && stretch(&after, text).is_some_and(|cut| !has_comment(cut))
    {
        return Ok(after);
    }
    Err(by_hand(container, name))
}

fn by_hand(container: &str, name: &str) -> ParseError {
    ParseError::of(format!(
        "defines `{container}` in a form that cannot be edited automatically: edit `{name}` by hand"
    ))
}

/// Whether `long` equals `short` plus the entry `name`, with the value `entry` if given.
fn same_but_for(
    short: &str,
    long: &str,
    container: &str,
    name: &str,
    entry: Option<&Map<String, Value>>,
) -> Result<bool, ParseError> {
    let mut others = entries(long, container)?;
    let Some(at) = others.iter().position(|(found, _)| found == name) else {
        return Ok(false);
    };
    let (_, found) = others.remove(at);
    let has_entry = entry.is_none_or(|entry| found.as_object() == Some(entry));
    let rest = |text: &str| -> Result<Vec<(String, Value)>, ParseError> {
        let root = parse(text)?.as_mapping();
        let pairs = root
            .iter()
            .flat_map(Mapping::iter)
            .filter_map(|(key, value)| Some((key.as_scalar()?.as_string(), json(&value))));
        Ok(pairs.filter(|(key, _)| key != container).collect())
    };
    Ok(has_entry && entries(short, container)? == others && rest(short)? == rest(long)?)
}

fn parse(text: &str) -> Result<Document, ParseError> {
    Document::from_str(text).map_err(|error| match error {
        YamlError::Parse { message, line, column } => ParseError {
            at: line.zip(column),
            problem: message.replace('\n', ", "),
        },
        other => ParseError::of(format!("is not valid YAML: {other}")),
    })
}

/// The mapping that holds the servers.
fn servers(document: &Document, container: &str) -> Result<Option<Mapping>, ParseError> {
    let Some(root) = document.as_mapping() else {
        let empty = document.as_sequence().is_none() && document.as_scalar().is_none_or(|scalar| scalar.is_null());
        return if empty { Ok(None) } else { Err(ParseError::of("is not a YAML mapping")) };
    };
    match root.find_all_entries_by_key(container).count() {
        0 => Ok(None),
        1 => {
            let not_a_mapping = || ParseError::of(format!("has a `{container}` that is not a mapping"));
            root.get_mapping(container).map(Some).ok_or_else(not_a_mapping)
        }
        _ => Err(ParseError::of(format!("defines `{container}` twice"))),
    }
}

fn mapping(fields: &Map<String, Value>) -> MappingBuilder {
    fields.iter().fold(MappingBuilder::new(), |written, (key, value)| match value {
        Value::Object(fields) => written.insert_mapping(key, mapping(fields)),
        Value::Bool(flag) => written.pair(key, *flag),
        Value::String(text) => written.pair(key, text.as_str()),
        // Entries contain no other types.
        other => written.pair(key, other.to_string()),
    })
}

fn json(node: &YamlNode) -> Value {
    match node {
        YamlNode::Scalar(scalar) => match scalar.as_bool() {
            Some(flag) if !scalar.is_quoted() => Value::Bool(flag),
            _ => Value::String(scalar.as_string()),
        },
        YamlNode::Mapping(mapping) => {
            let pair = |(key, value): (YamlNode, YamlNode)| Some((key.as_scalar()?.as_string(), json(&value)));
            Value::Object(mapping.iter().filter_map(pair).collect())
        }
        YamlNode::Sequence(items) => items.values().map(|item| json(&item)).collect(),
        YamlNode::Alias(_) | YamlNode::TaggedNode(_) => Value::Null,
    }
}

/// The part of `long` that `short` lacks, if there is exactly one.
fn stretch<'a>(short: &str, long: &'a str) -> Option<&'a str> {
    let front = short.bytes().zip(long.bytes()).take_while(|(a, b)| a == b).count();
    let back = short.bytes().rev().zip(long.bytes().rev()).take_while(|(a, b)| a == b).count();
    let length = long.len().checked_sub(short.len()).filter(|_| front + back >= short.len())?;
    let start = short.len().saturating_sub(back);
    // Several positions may fit; this takes one on a character boundary.
    long.get(start..start + length).or_else(|| long.get(front..front + length))
}
