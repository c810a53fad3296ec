//! Inserts and removes one entry in JSON text. Every other byte stays, including comments and trailing commas.

use std::ops::Range;

use jsonc_parser::ast::{Object, ObjectProp, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ai_clients::format::entries::{Entries, ParseError};

/// The whole document as a value; `null` if the text is empty.
pub fn value(text: &str) -> Result<Value, ParseError> {
    Ok(Document::parse(text)?.value.map_or(Value::Null, Value::from))
}

/// The entries of the object `container`.
pub fn entries(text: &str, container: &str) -> Result<Entries, ParseError> {
    let document = Document::parse(text)?;
    let Some(servers) = document.servers(container)? else { return Ok(Vec::new()) };
    let entry = |entry: &ObjectProp| (entry.name.as_str().to_owned(), entry.value.clone().into());
    Ok(servers.properties.iter().map(entry).collect())
}

/// The text with the entry `name`, replaced in place or added last.
pub fn with_entry(text: &str, container: &str, name: &str, entry: &Map<String, Value>) -> Result<String, ParseError> {
    let document = Document::parse(text)?;
    let entry = Value::Object(entry.clone());
    let Some(root) = document.root()? else {
        let end = document.line_end();
        let parted = if text.is_empty() || text.ends_with('\n') { "" } else { end };
        let written = document.pretty(&json!({container: {name: entry}}), "");
        return Ok(format!("{text}{parted}{written}{end}"));
    };
    let Some(servers) = document.servers(container)? else {
        return Ok(document.append(root, container, &json!({name: entry})));
    };
    match only(servers, name)? {
        None => Ok(document.append(servers, name, &entry)),
        Some(property) => {
            let range = property.value.range();
            let written = document.pretty(&entry, document.indent(range.start));
            Ok(document.edited(vec![(range.start..range.end, written)]))
        }
    }
}

/// The text without the entry `name`.
pub fn without_entry(text: &str, container: &str, name: &str) -> Result<String, ParseError> {
    let document = Document::parse(text)?;
    let Some(servers) = document.servers(container)? else { return Ok(text.to_owned()) };
    let Some(property) = only(servers, name)? else { return Ok(text.to_owned()) };
    let mut range = property.range.start..property.range.end;
    let mut edits = Vec::new();
    match document.comma_after(range.end) {
        Some(comma) if comma == range.end => range.end += 1,
        Some(comma) => edits.push((comma..comma + 1, String::new())),
        // Last property: the comma before it goes instead.
        None => {
            let before = servers.properties.iter().rfind(|other| other.range.end <= range.start);
            let comma = before.and_then(|before| document.comma_after(before.range.end));
            edits.extend(comma.map(|comma| (comma..comma + 1, String::new())));
        }
    }
    // Also removes the line if the entry had it to itself, or else the spaces before the entry.
    let (before, after) = (document.before(range.start), document.after(range.end));
    let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
    let line = before.trim_end_matches([' ', '\t']);
    let line_end =
        line.len() - line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line)).len();
    let alone = after.trim_start_matches([' ', '\t']).starts_with(['\r', '\n']);
    if line_end > 0 && alone {
        range.start -= blanks + line_end;
    } else if line.ends_with(',') {
        range.start -= blanks;
    }
    edits.push((range, String::new()));
    Ok(document.edited(edits))
}

/// Parsed text.
struct Document<'a> {
    text: &'a str,
    value: Option<Ast<'a>>,
    /// Includes comments.
    tokens: Vec<TokenAndRange<'a>>,
}

impl<'a> Document<'a> {
    fn parse(text: &'a str) -> Result<Document<'a>, ParseError> {
        let collect = CollectOptions {
            comments: CommentCollectionStrategy::AsTokens,
            tokens: true,
        };
        // The dialect of these clients and of editors: JSON with comments and trailing commas.
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let parsed = parse_to_ast(text, &collect, &options).map_err(|error| ParseError {
            at: Some((error.line_display(), error.column_display())),
            problem: error.kind().to_string(),
        })?;
        Ok(Document {
            text,
            value: parsed.value,
            tokens: parsed.tokens.unwrap_or_default(),
        })
    }

    fn root(&self) -> Result<Option<&Object<'a>>, ParseError> {
        match &self.value {
            None => Ok(None),
            Some(Ast::Object(root)) => Ok(Some(root)),
            Some(_) => Err(ParseError::of("is not a JSON object")),
        }
    }

    /// The object that holds the servers.
    fn servers(&self, container: &str) -> Result<Option<&Object<'a>>, ParseError> {
        let Some(root) = self.root()? else { return Ok(None) };
        match only(root, container)?.map(|found| &found.value) {
            None => Ok(None),
            Some(Ast::Object(servers)) => Ok(Some(servers)),
            Some(_) => Err(ParseError::of(format!("has a `{container}` that is not an object"))),
        }
    }

    /// The text with a property added last.
    fn append(&self, object: &Object, name: &str, value: &Value) -> String {
        let end = self.line_end();
        let (start, name) = (object.range.start, json!(name));
        let (Some(first), Some(last)) = (object.properties.first(), object.properties.last()) else {
            let indent = format!("{}{}", self.indent(start), self.unit());
            let inside = self.text.get(start + 1..object.range.end - 1).unwrap_or_default();
            let close = if inside.contains('\n') { String::new() } else { format!("{end}{}", self.indent(start)) };
            let written = format!("{end}{indent}{name}: {}{close}", self.pretty(value, &indent));
            return self.edited(vec![(start + 1..start + 1, written)]);
        };
        let trailing = self.comma_after(last.range.end);
        let after = trailing.map_or(last.range.end, |comma| comma + 1);
        let comma = if trailing.is_some() { "," } else { "" };
        let mut edits = Vec::new();
        if trailing.is_none() {
            edits.push((last.range.end..last.range.end, ",".to_owned()));
        }
        let gap = self.text.get(start..first.range.start).unwrap_or_default();
        if gap.contains('\n') {
            let indent = self.indent(last.range.start);
            let at = self.end_of_remarks(after);
            edits.push((at..at, format!("{end}{indent}{name}: {}{comma}", self.pretty(value, indent))));
        } else {
            edits.push((after..after, format!(" {name}: {value}{comma}")));
        }
        self.edited(edits)
    }

    /// The text with each range replaced.
    fn edited(&self, mut edits: Vec<(Range<usize>, String)>) -> String {
        edits.sort_by_key(|(range, _)| range.start);
        let mut written = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, replacement) in edits {
            written.push_str(self.text.get(at..range.start).unwrap_or_default());
            written.push_str(&replacement);
            at = range.end;
        }
        written + self.after(at)
    }

    /// The comma that follows, whatever remarks are before it.
    fn comma_after(&self, at: usize) -> Option<usize> {
        let next = self.tokens_from(at).find(|found| !is_comment(found))?;
        matches!(next.token, Token::Comma).then_some(next.range.start)
    }

    /// Where the remarks end that follow on the same line.
    fn end_of_remarks(&self, at: usize) -> usize {
        let remarks = self.tokens_from(at).take_while(|found| is_comment(found));
        remarks.fold(at, |end, remark| {
            let line = self.text.get(at..remark.range.end).unwrap_or_default();
            if line.trim_end_matches(['\r', '\n']).contains('\n') { end } else { remark.range.end }
        })
    }

    fn tokens_from(&self, at: usize) -> impl Iterator<Item = &TokenAndRange<'a>> {
        let first = self.tokens.partition_point(|found| found.range.start < at);
        self.tokens.iter().skip(first)
    }

    fn before(&self, at: usize) -> &'a str {
        self.text.get(..at).unwrap_or_default()
    }

    fn after(&self, at: usize) -> &'a str {
        self.text.get(at..).unwrap_or_default()
    }

    /// The blanks at the start of the line.
    fn indent(&self, at: usize) -> &'a str {
        let line = self.before(at).rsplit('\n').next().unwrap_or_default();
        line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
    }

    /// One step of indentation: that of the first property which has a line of its own.
    fn unit(&self) -> &'a str {
        let first = self.root().ok().flatten().and_then(|root| root.properties.first());
        first.map(|first| self.indent(first.range.start)).filter(|unit| !unit.is_empty()).unwrap_or("  ")
    }

    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// A value on several lines, the later ones indented.
    fn pretty(&self, value: &Value, indent: &str) -> String {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(self.unit().as_bytes());
        let mut written = Vec::new();
        // Writing a JSON value to memory has no way to fail.
        let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut written, formatter));
        String::from_utf8_lossy(&written).replace('\n', &format!("{}{indent}", self.line_end()))
    }
}

fn is_comment(found: &TokenAndRange) -> bool {
    matches!(found.token, Token::CommentLine(_) | Token::CommentBlock(_))
}

/// The property of a name. Of two programs read different ones: neither is touched.
fn only<'o, 'a>(object: &'o Object<'a>, name: &str) -> Result<Option<&'o ObjectProp<'a>>, ParseError> {
    let mut found = object.properties.iter().filter(|property| property.name.as_str() == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(ParseError::of(format!("says `{name}` twice"))),
        (first, None) => Ok(first),
    }
}
