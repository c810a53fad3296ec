//! Reads the arguments of `call_tool_read`, `call_tool_write` and `call_tool_destructive`, for the fast path and the
//! library path.
//!
//! Unknown keys are refused: if a model puts a tool's arguments under another key, the tool must not run without them.

use std::borrow::Cow;
use std::fmt;

use rmcp::model::JsonObject;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::catalog::call_variant;
use crate::catalog::tool_id;
use crate::contract::exact_numbers::hold;
use crate::gateway::fast_path_messages::is_deep;

/// The known keys, as in the tools' schemas.
const KEYS: [&str; 5] = ["name", "args", "args_json", "intent_data_sensitivity", "intent_reason"];

/// A call of an upstream tool.
#[derive(Debug)]
pub struct UpstreamCall<'a> {
    id: Cow<'a, str>,
    arguments: Option<Cow<'a, RawValue>>,
}

/// Why a call was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct CallArgumentsError {
    pub message: String,
    /// The requested tool, if known. Its schema helps the caller.
    pub id: Option<String>,
}

impl<'a> UpstreamCall<'a> {
    /// Parses the arguments of a call tool, a JSON object.
    ///
    /// # Errors
    /// A message for the caller.
    pub fn parse(json: &'a str) -> Result<UpstreamCall<'a>, CallArgumentsError> {
        let members: Members<'a> = serde_json::from_str(json)
            .map_err(|error| CallArgumentsError::new(format!("the arguments are not a JSON object: {error}"), None))?;
        let get = |key: &str| members.get(key);
        let text = |key: &str| get(key).and_then(text_of);
        let id = text("name").ok_or_else(|| {
            CallArgumentsError::new("`name` is missing: the tool's full name, server:tool".to_owned(), None)
        })?;
        let refused = |message: String| CallArgumentsError::new(message, Some(id.as_ref()));
        tool_id::split(&id).map_err(|message| CallArgumentsError::new(message, None))?;
        if let Some(key) = members.0.iter().map(|(key, _)| key).find(|key| !KEYS.contains(&key.as_ref())) {
            return Err(refused(format!("unknown key `{}`: put the tool's arguments in `args`", brief(key))));
        }
        call_variant::check_declaration(text("intent_data_sensitivity").as_deref(), text("intent_reason").as_deref())
            .map_err(refused)?;
        let arguments = match (get("args_json"), get("args")) {
            (Some(json), args) => {
                let json = text_of(json)
                    .ok_or_else(|| refused("`args_json` is not a string; send an object as `args`".to_owned()))?;
                match args {
                    _ if json.is_empty() => args.map(Cow::Borrowed),
                    None => Some(read_json(json).map_err(refused)?),
                    Some(args) => Some(the_same(args, read_json(json).map_err(refused)?).map_err(refused)?),
                }
            }
            (None, args) => args.map(Cow::Borrowed),
        };
        if arguments.as_ref().is_some_and(|arguments| !arguments.get().starts_with('{')) {
            return Err(refused("`args` is not an object; send JSON text as `args_json`".to_owned()));
        }
        Ok(UpstreamCall { id, arguments })
    }

    /// Returns the tool's full name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the names of the server and the tool.
    pub fn target(&self) -> (&str, &str) {
        tool_id::split(&self.id).unwrap_or_default()
    }

    /// Returns the tool's arguments as raw JSON; `None` if there are none.
    pub fn raw_arguments(&self) -> Option<&RawValue> {
        self.arguments.as_deref()
    }

    /// Returns the tool's arguments. Missing arguments become an empty object, because servers reject `null`.
    pub fn arguments(&self) -> JsonObject {
        self.raw_arguments().and_then(|raw| serde_json::from_str(&hold(raw.get())).ok()).unwrap_or_default()
    }
}

impl CallArgumentsError {
    fn new(message: String, id: Option<&str>) -> CallArgumentsError {
        CallArgumentsError {
            message,
            id: id.map(str::to_owned),
        }
    }
}

/// Reads the object in `args_json`.
fn read_json<'a>(json: Cow<'a, str>) -> Result<Cow<'a, RawValue>, String> {
    let refused = |error: &dyn fmt::Display| format!("`args_json` is not a JSON object: {error}");
    if is_deep(json.as_bytes()) {
        return Err(refused(&"it is nested too deeply"));
    }
    // Parses the complete text, because a server must not receive JSON that its library cannot read.
    if let Err(error) = serde_json::from_str::<JsonObject>(&json) {
        return Err(refused(&error));
    }
    match json {
        Cow::Borrowed(json) => serde_json::from_str::<&RawValue>(json).map(Cow::Borrowed),
        Cow::Owned(json) => RawValue::from_string(json).map(Cow::Owned),
    }
    .map_err(|error| refused(&error))
}

/// The arguments of a caller that sent them in both forms. An empty form means that the other one counts.
fn the_same<'a>(args: &'a RawValue, json: Cow<'a, RawValue>) -> Result<Cow<'a, RawValue>, String> {
    let object = |raw: &RawValue| serde_json::from_str::<JsonObject>(raw.get()).unwrap_or_default();
    let (given, in_json) = (object(args), object(&json));
    if given.is_empty() || given == in_json {
        Ok(json)
    } else if in_json.is_empty() {
        Ok(Cow::Borrowed(args))
    } else {
        Err("`args` and `args_json` differ; send only one of them".to_owned())
    }
}

fn brief(key: &str) -> String {
    key.chars().take(60).collect()
}

fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text>(raw.get()).ok().map(|text| text.0)
}

/// The members of an object whose values are not `null`. The last of several equal keys counts.
#[derive(Debug)]
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(given, _)| given == key).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    members.retain(|(given, _)| *given != key);
                    if value.get() != "null" {
                        members.push((key, value));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Each).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contract::exact_numbers::restore_text;

    fn read(json: &str) -> Result<(String, Value), String> {
        let call = UpstreamCall::parse(json).map_err(|error| error.message)?;
        let (server, tool) = call.target();
        Ok((format!("{server}|{tool}"), Value::Object(call.arguments())))
    }

    #[test]
    fn omitted_and_null_arguments_become_an_empty_object() {
        for json in [
            r#"{"name": "s:t"}"#,
            r#"{"name": "s:t", "args": null}"#,
            r#"{"name": "s:t", "args_json": ""}"#,
            r#"{"name": "s:t", "args_json": null, "args": {}, "text": null}"#,
        ] {
            assert_eq!(read(json), Ok(("s|t".to_owned(), json!({}))), "{json}");
        }
    }

    #[test]
    fn arguments_in_both_forms_are_used_if_they_agree() {
        for (both, expected) in [
            (r#""args": {}, "args_json": " {\"b\": 2} ""#, json!({"b": 2})),
            (r#""args": {"a": 1}, "args_json": """#, json!({"a": 1})),
            (r#""args": {"a": 1}, "args_json": "{}""#, json!({"a": 1})),
            (r#""args": {"a": 1}, "args_json": "{\"a\":1}""#, json!({"a": 1})),
        ] {
            assert_eq!(read(&format!(r#"{{"name": "s:t", {both}}}"#)), Ok(("s|t".to_owned(), expected)), "{both}");
        }
        let error = read(r#"{"name": "s:t", "args": {"a": 1}, "args_json": "{\"a\": 2}"}"#).unwrap_err();
        assert!(error.contains("`args` and `args_json` differ"), "{error}");
    }

    #[test]
    fn arguments_under_another_key_never_run_the_tool_without_them() {
        for (json, message) in [
            (r#"{"name": "s:t", "arguments": {"text": "x"}}"#, "unknown key `arguments`"),
            (r#"{"name": "s:t", "text": "x"}"#, "unknown key `text`"),
            (r#"{"name": "s:t", "Args": {"text": "x"}}"#, "unknown key `Args`"),
            (r#"{"name": "s:t", "args": {}, "parameters": {"text": "x"}}"#, "unknown key `parameters`"),
            (r#"{"name": "s:t", "args_json": {"text": "x"}}"#, "`args_json` is not a string"),
            (r#"{"name": "s:t", "args": "{\"text\": \"x\"}"}"#, "`args` is not an object"),
            (r#"{"name": "s:t", "args": ["x"]}"#, "`args` is not an object"),
            (r#"{"name": "s:t", "args_json": "[1]"}"#, "`args_json` is not a JSON object"),
            (r#"{"name": "s:t", "args_json": "null"}"#, "`args_json` is not a JSON object"),
            (r#"{"name": "s:t", "args_json": "{\"a\": \"\\ud83d\"}"}"#, "`args_json` is not a JSON object"),
            (r#"{"name": "echo"}"#, "expected server:tool"),
            (r#"{"name": 5}"#, "`name` is missing"),
            ("{}", "`name` is missing"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(message), "{json}: {error}");
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        for arguments in [r#"{"a":1e999,"b":[1.50,-0,18446744073709551616]}"#] {
            let escaped = serde_json::to_string(arguments).unwrap();
            for json in [
                format!(r#"{{"name":"s:t","args":{arguments}}}"#),
                format!(r#"{{"name":"s:t","args_json":{escaped}}}"#),
            ] {
                let call = UpstreamCall::parse(&json).unwrap();
                assert_eq!(call.raw_arguments().unwrap().get(), arguments);
                assert_eq!(restore_text(&serde_json::to_string(&call.arguments()).unwrap()), arguments);
            }
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_as_in_the_library() {
        let json = r#"{"name": "s:t", "args": {"a": 1}, "args": {"a": 2}}"#;
        let parsed: JsonObject = serde_json::from_str(json).unwrap();
        assert_eq!(read(json), read(&Value::Object(parsed).to_string()));
    }
}
