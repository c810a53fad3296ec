//! Parses JSON with the restrictions of a payload: UTF-8, no duplicate key, limited depth and size, and nothing after
//! the value.
//!
//! The parser keeps duplicate keys, so that net 2 sees every value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Maximum size of a payload, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// Maximum nesting depth of a payload.
pub const DEEPEST: usize = 8;

/// A JSON value that may contain duplicate keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// A whole number of at least 0.
    Count(u64),
    /// Any other number, as written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The nesting depth of the innermost value, itself included.
    pub fn depth(&self) -> usize {
        match self {
            Json::List(items) => 1 + items.iter().map(Json::depth).max().unwrap_or(0),
            Json::Object(entries) => 1 + entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Parses exactly one JSON value; `None` for invalid JSON, a lone surrogate, or bytes after the value.
pub fn read(bytes: &[u8]) -> Option<Json> {
    serde_json::from_slice(bytes).ok()
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

/// The key under which the JSON library presents other numbers than 64-bit integers.
const LIBRARY_NUMBER: &str = "$serde_json::private::Number";

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Count(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(match object.as_slice() {
            [(key, Json::Text(number))] if key == LIBRARY_NUMBER && number.parse::<f64>().is_ok() => {
                Json::Number(number.clone())
            }
            _ => Json::Object(object),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_key_is_kept() {
        let Some(Json::Object(entries)) = read(br#"{"a":1,"a":"x"}"#) else {
            panic!("an object")
        };
        assert_eq!(
            entries,
            [
                ("a".to_owned(), Json::Count(1)),
                ("a".to_owned(), Json::Text("x".into()))
            ]
        );
    }

    #[test]
    fn input_that_is_not_one_value_is_refused() {
        for text in [
            "",
            "{",
            "{} {}",
            "{}x",
            r#"{"a":NaN}"#,
            r#"{"a":"\ud800"}"#,
            "{'a':1}",
            "{\"a\":01}",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(read("[".repeat(100_000).as_bytes()), None, "deep nesting is refused, not followed");
    }

    #[test]
    fn depth_counts_containers() {
        assert_eq!(read(b"1").map(|json| json.depth()), Some(0));
        assert_eq!(read(br#"{"a":[{"b":1}]}"#).map(|json| json.depth()), Some(3));
    }
}
