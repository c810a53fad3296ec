//! A record of the official registry protocol, and a page of records.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::contract::visible_text::one_line;
use crate::registries::identifier::is_server_name;

/// Key of the registry's own data about a record.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";
/// Largest record, in bytes of JSON. Real ones have a few kilobytes.
const LARGEST_RECORD: usize = 128 << 10;
/// Most entries of any list in a record.
const MOST_ENTRIES: usize = 64;
/// Longest description, in characters.
const LONGEST_TEXT: usize = 600;

/// A server's record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub name: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) title: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) description: String,
    #[serde(default, deserialize_with = "text")]
    pub(crate) version: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) repository: Repository,
    #[serde(default, deserialize_with = "few")]
    pub(crate) packages: Vec<Package>,
    #[serde(default, deserialize_with = "few")]
    pub(crate) remotes: Vec<Remote>,
    /// The registry's data; not part of the publisher's record.
    #[serde(skip)]
    pub(crate) status: Status,
}

/// The data of the registry about a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    #[serde(default, deserialize_with = "text")]
    pub status: String,
    #[serde(default)]
    pub is_latest: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    pub updated_at: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Repository {
    #[serde(default, deserialize_with = "text")]
    pub url: String,
}

/// A package that a package manager installs and starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Package {
    #[serde(default)]
    pub registry_type: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub registry_base_url: String,
    #[serde(default)]
    pub identifier: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub runtime_hint: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub transport: Transport,
    #[serde(default, deserialize_with = "few")]
    pub runtime_arguments: Vec<Argument>,
    #[serde(default, deserialize_with = "few")]
    pub package_arguments: Vec<Argument>,
    #[serde(default, deserialize_with = "few")]
    pub environment_variables: Vec<KeyValue>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Transport {
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// A server that runs elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Remote {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub url: String,
    #[serde(default, deserialize_with = "few")]
    pub headers: Vec<KeyValue>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub variables: BTreeMap<String, Input>,
}

/// A value, or a question for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Input {
    #[serde(default, deserialize_with = "text")]
    pub description: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub is_required: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub is_secret: bool,
    #[serde(default, deserialize_with = "scalar")]
    pub default: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    pub value: Option<String>,
    #[serde(default, deserialize_with = "few")]
    pub choices: Vec<String>,
    #[serde(default, deserialize_with = "text")]
    pub placeholder: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub format: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub variables: BTreeMap<String, Input>,
}

/// An environment variable or a header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct KeyValue {
    pub name: String,
    #[serde(flatten)]
    pub input: Input,
}

/// An argument of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Argument {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub value_hint: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub is_repeated: bool,
    #[serde(flatten)]
    pub input: Input,
}

/// A page of records, as the registry sent them. Only [`Record::read`] looks into them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Page {
    #[serde(default, deserialize_with = "null_as_default")]
    pub servers: Vec<Value>,
}

impl Record {
    /// Reads `{"server": {…}, "_meta": {…}}`, or the server alone. `None` for a record that is deleted, too large, of an
    /// older version, or not in the protocol's form.
    pub(crate) fn read(item: &Value) -> Option<Record> {
        let server = item.get("server").unwrap_or(item);
        if server.to_string().len() > LARGEST_RECORD {
            return None;
        }
        let mut record = Record::deserialize(server).ok().filter(|record| is_server_name(&record.name))?;
        let meta = [item, server].into_iter().find_map(|place| place.get("_meta")?.get(OFFICIAL));
        record.status = meta.and_then(|meta| Status::deserialize(meta).ok()).unwrap_or_default();
        (record.status.is_latest != Some(false) && record.status.status != "deleted").then_some(record)
    }

    /// Whether the publisher advises against the server.
    pub(crate) fn is_deprecated(&self) -> bool {
        self.status.status == "deprecated"
    }
}

/// Text of a publisher: on one line, escaped and shortened.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(shown(&text.unwrap_or_default()))
}

/// Makes a publisher's text safe to show, and shortens it.
pub(crate) fn shown(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = text.chars().take(LONGEST_TEXT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    one_line(&short)
}

/// A string, or a number or boolean that a publisher wrote instead.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    })
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of at most [`MOST_ENTRIES`] entries.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list: Vec<T> = Option::deserialize(deserializer)?.unwrap_or_default();
    if list.len() > MOST_ENTRIES {
        return Err(serde::de::Error::custom("too many entries"));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_read_with_the_registrys_own_data() {
        let item = json!({"server": {"name": "a.b/c", "description": "x", "version": "1.0.0", "packages": null,
                "remotes": [{"type": "sse", "url": "https://h/"}], "new": [1]},
            "_meta": {OFFICIAL: {"status": "deprecated", "isLatest": true, "updatedAt": "2026-01-01T00:00:00Z"}}});
        let record = Record::read(&item).unwrap();
        assert!(record.is_deprecated());
        assert_eq!(record.remotes[0].kind, "sse");
        assert_eq!(Record::read(&item["server"]).unwrap().name, "a.b/c");
    }

    #[test]
    fn deleted_older_and_malformed_records_are_left_out() {
        let with = |meta: Value| json!({"server": {"name": "a.b/c"}, "_meta": {OFFICIAL: meta}});
        assert!(Record::read(&with(json!({"status": "deleted"}))).is_none());
        assert!(Record::read(&with(json!({"isLatest": false}))).is_none());
        assert!(Record::read(&with(json!({}))).is_some());
        for bad in [
            json!(7),
            json!({}),
            json!({"name": "--yes"}),
            json!({"name": "a/b", "packages": [7]}),
            json!({"name": "a/b", "remotes": vec![json!({}); 100]}),
            json!({"name": "a/b", "description": "x".repeat(LARGEST_RECORD)}),
        ] {
            assert!(Record::read(&bad).is_none());
        }
    }

    #[test]
    fn text_of_a_publisher_is_escaped_and_shortened() {
        let item = json!({"name": "a.b/c", "description": format!("a\u{1b}[31m\nb\u{202e}{}", "x".repeat(5000))});
        let record = Record::read(&item).unwrap();
        assert!(record.description.starts_with("a\\u{1b}[31m b\\u{202e}xx"), "{}", record.description);
        assert!(record.description.chars().count() < 700);
    }
}
