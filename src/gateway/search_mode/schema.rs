//! Prunes a tool's input schema: removes everything that the caller does not need. The schema accepts the same values
//! as before.

use serde_json::{Map, Value};

/// Keywords that do not affect which values are valid, and rarely help a caller.
const UNNEEDED: [&str; 6] = ["title", "$schema", "$comment", "$id", "id", "deprecated"];
/// Keywords whose value is one schema.
const ONE_SCHEMA: [&str; 12] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "propertyNames",
    "contentSchema",
    "not",
    "if",
    "then",
    "else",
];
/// Keywords whose value is an array of schemas.
const SCHEMA_LISTS: [&str; 5] = ["anyOf", "oneOf", "allOf", "prefixItems", "items"];
/// Keywords whose value maps names to schemas.
const SCHEMA_MAPS: [&str; 5] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
];

/// Returns a schema without titles, `$schema`, all but the first example, repeated descriptions and empty keywords.
pub fn pruned(schema: &Map<String, Value>, tool_description: &str) -> Map<String, Value> {
    // A reference may refer to an `$id` anywhere. Without references, definitions are unused.
    let has_references = refers(schema);
    let mut pruned = prune(schema, tool_description, has_references);
    if !has_references {
        pruned.shift_remove("$defs");
        pruned.shift_remove("definitions");
    }
    pruned
}

fn prune(schema: &Map<String, Value>, said_above: &str, keep_ids: bool) -> Map<String, Value> {
    let description = schema.get("description").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let said = if description.is_empty() { said_above } else { description };
    let mut pruned = Map::new();
    for (keyword, value) in schema {
        let kept = match (keyword.as_str(), value) {
            ("$id" | "id", _) if keep_ids => Some(value.clone()),
            ("id" | "deprecated", Value::Object(_)) => Some(value.clone()),
            (unneeded, _) if UNNEEDED.contains(&unneeded) => None,
            ("description", Value::String(_)) if description.is_empty() || description == said_above.trim() => None,
            ("default", Value::Null) => None,
            ("required", Value::Array(names)) if names.is_empty() => None,
            ("additionalProperties", Value::Bool(true)) if !is_counted(schema) => None,
            ("examples", Value::Array(examples)) if examples.len() > 1 => {
                Some(Value::Array(examples.iter().take(1).cloned().collect()))
            }
            ("examples", Value::Array(examples)) if examples.is_empty() => None,
            (keyword, Value::Array(schemas)) if SCHEMA_LISTS.contains(&keyword) => {
                Some(Value::Array(schemas.iter().map(|schema| prune_value(schema, said, keep_ids)).collect()))
            }
            (keyword, Value::Object(schemas)) if SCHEMA_MAPS.contains(&keyword) => {
                let named = schemas.iter().map(|(name, schema)| (name.clone(), prune_value(schema, said, keep_ids)));
                Some(Value::Object(named.collect()))
            }
            (keyword, value) if ONE_SCHEMA.contains(&keyword) => Some(prune_value(value, said, keep_ids)),
            _ => Some(value.clone()),
        };
        if let Some(value) = kept {
            pruned.insert(keyword.clone(), value);
        }
    }
    pruned
}

fn prune_value(value: &Value, said_above: &str, keep_ids: bool) -> Value {
    match value {
        Value::Object(schema) => Value::Object(prune(schema, said_above, keep_ids)),
        other => other.clone(),
    }
}

/// Whether an absent `additionalProperties` means something other than `true`.
fn is_counted(schema: &Map<String, Value>) -> bool {
    schema.contains_key("unevaluatedProperties") || schema.contains_key("$ref") || schema.contains_key("allOf")
}

/// Whether a schema contains a reference.
fn refers(schema: &Map<String, Value>) -> bool {
    fn in_value(value: &Value) -> bool {
        match value {
            Value::Object(map) => refers(map),
            Value::Array(values) => values.iter().any(in_value),
            _ => false,
        }
    }
    schema
        .iter()
        .any(|(key, value)| matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") || in_value(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schema: Value) -> Value {
        Value::Object(pruned(schema.as_object().unwrap(), "Reads a file"))
    }

    #[test]
    fn unneeded_keywords_are_removed() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "title": "ReadArgs", "description": "Reads a file ",
            "type": "object", "required": [], "additionalProperties": true,
            "properties": {
                "path": {"title": "Path", "type": "string", "description": "Where", "examples": ["/a", "/b"]},
                "mode": {"anyOf": [{"type": "string", "title": "M", "description": "How"}, {"type": "null"}],
                    "description": "How", "default": null},
                "deep": {"type": "array", "description": "", "items": {"type": "object", "title": "T",
                    "properties": {"x": {"type": "integer", "title": "X", "minimum": 1}}}},
            },
            "$defs": {"Unused": {"type": "string"}},
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Where", "examples": ["/a"]},
                "mode": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "How"},
                "deep": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}}},
            },
        });
        assert_eq!(of(schema), expected);
    }

    #[test]
    fn keywords_that_restrict_values_are_kept() {
        for schema in [
            // Parameters may have the names of keywords, and values may look like schemas.
            json!({"type": "object", "properties": {"title": {"type": "string"}, "id": {"type": "string"}, "$schema": {}}}),
            json!({"properties": {"a": {"default": {"title": "t"}, "const": {"title": "t"}, "enum": [{"title": "t"}]}}}),
            json!({"required": ["a"], "additionalProperties": false, "minProperties": 1, "dependencies": {"a": ["b"]}}),
            json!({"$id": "x", "$defs": {"A": {"$id": "y", "type": "string"}}, "properties": {"a": {"$ref": "#/$defs/A"}}}),
            json!({"allOf": [{"properties": {"a": {}}}], "additionalProperties": true, "unevaluatedProperties": false}),
            json!({"properties": {"a": {"default": false}, "b": {"default": 0}, "c": true}, "not": {"required": ["z"]}}),
        ] {
            let pruned = of(schema.clone());
            assert_eq!(pruned, schema);
        }
    }
}
