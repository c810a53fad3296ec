//! Repairs tool schemas for strict clients and model APIs, because one invalid schema would make a client reject all
//! tools.
//!
//! The official TypeScript client and the model APIs require an object at the top level, an object for each property,
//! no `null`, and no `anyOf`, `oneOf` or `allOf` at the top level. Everything else in a schema is kept.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool};
use serde_json::{Map, Value, json};

/// Where a keyword's value contains schemas.
enum Holds {
    /// Data, but no schemas.
    Data,
    /// Schemas, each under a key.
    SchemasByKey,
    /// An array of schemas.
    SchemaList,
    /// One schema. The values `true` and `false` are common and accepted everywhere.
    Schema,
    /// One schema, or an array of them.
    SchemaOrList,
    Other,
}

impl Holds {
    fn of(keyword: &str) -> Holds {
        match keyword {
            "default" | "const" | "enum" | "examples" => Holds::Data,
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => Holds::SchemasByKey,
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => Holds::SchemaList,
            "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "additionalProperties"
            | "unevaluatedProperties" => Holds::Schema,
            "items" => Holds::SchemaOrList,
            _ => Holds::Other,
        }
    }
}

/// Maximum nesting of a repaired schema.
const MAX_DEPTH: usize = 64;

/// Repairs the schemas of a tool if necessary.
pub fn repair(tool: &mut Tool) {
    if !is_strict(&tool.input_schema) {
        tool.input_schema = Arc::new(strict(&tool.input_schema));
    }
    if let Some(output) = &tool.output_schema {
        let is_object = output.get("type").is_none_or(|kind| kind == "object") || output.contains_key("$ref");
        // Clients refuse results without structured content if there is a schema, even if it says nothing.
        let says_something = output.iter().any(|(key, value)| key != "$schema" && !value.is_null());
        if !is_object || !says_something {
            tool.output_schema = None;
        } else if !is_strict(output) {
            tool.output_schema = Some(Arc::new(strict(output)));
        }
    }
}

/// Whether [`strict`] would change nothing. Most schemas need no repair, and copying all of them would double the time
/// to list 10,000 tools.
fn is_strict(schema: &JsonObject) -> bool {
    let is_plain = !["$ref", "allOf", "anyOf", "oneOf"].iter().any(|key| schema.contains_key(*key));
    let names_are_texts = schema.get("required").is_none_or(|required| {
        required.as_array().is_some_and(|names| !names.is_empty() && names.iter().all(Value::is_string))
    });
    is_plain
        && names_are_texts
        && schema.get("type").is_some_and(|kind| kind == "object")
        && schema.get("properties").is_some_and(Value::is_object)
        && is_clean(schema, 0)
}

/// Whether [`clean`] would change nothing.
fn is_clean(schema: &JsonObject, depth: usize) -> bool {
    let is_object = |value: &Value| value.as_object().is_some_and(|schema| is_clean(schema, depth + 1));
    if depth > MAX_DEPTH {
        return schema.is_empty();
    }
    schema.iter().all(|(key, value)| match (Holds::of(key), value) {
        (Holds::Data, _) => true,
        (_, Value::Null) => false,
        (Holds::SchemasByKey, Value::Object(map)) => map.values().all(is_object),
        (Holds::SchemaList | Holds::SchemaOrList, Value::Array(list)) => list.iter().all(is_object),
        (Holds::Schema | Holds::SchemaOrList, Value::Object(schema)) => is_clean(schema, depth + 1),
        _ => true,
    })
}

/// Returns the schema with an object at the top level.
fn strict(schema: &JsonObject) -> JsonObject {
    let mut schema = clean(schema, 0);
    inline_reference(&mut schema);
    merge_alternatives(&mut schema);
    schema.insert("type".to_owned(), json!("object"));
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if !properties.is_object() {
        *properties = json!({});
    }
    if let Some(required) = schema.get("required") {
        let names = required.as_array().into_iter().flatten().filter(|name| name.is_string()).cloned();
        let names: Vec<Value> = names.collect();
        if names.is_empty() {
            schema.shift_remove("required");
        } else {
            schema.insert("required".to_owned(), Value::Array(names));
        }
    }
    schema
}

/// Removes `null`, and replaces `true` and `false` as schemas of properties.
fn clean(schema: &JsonObject, depth: usize) -> JsonObject {
    if depth > MAX_DEPTH {
        return JsonObject::new();
    }
    let mut cleaned = JsonObject::new();
    for (key, value) in schema {
        let value = match (Holds::of(key), value) {
            (Holds::Data, value) => value.clone(),
            (_, Value::Null) => continue,
            (Holds::SchemasByKey, Value::Object(map)) => {
                map.iter().map(|(key, schema)| (key.clone(), as_object(schema, depth))).collect()
            }
            (Holds::SchemaList | Holds::SchemaOrList, Value::Array(list)) => {
                list.iter().map(|schema| as_object(schema, depth)).collect()
            }
            (Holds::Schema | Holds::SchemaOrList, Value::Object(schema)) => Value::Object(clean(schema, depth + 1)),
            (_, value) => value.clone(),
        };
        cleaned.insert(key.clone(), value);
    }
    cleaned
}

fn as_object(schema: &Value, depth: usize) -> Value {
    match schema {
        Value::Object(schema) => Value::Object(clean(schema, depth + 1)),
        Value::Bool(false) => json!({"not": {}}),
        _ => json!({}),
    }
}

/// Replaces a `$ref` at the top level by its definition in the same schema.
fn inline_reference(schema: &mut JsonObject) {
    let Some(Value::String(reference)) = schema.get("$ref") else { return };
    let target = reference.strip_prefix('#').and_then(|path| Value::Object(schema.clone()).pointer(path).cloned());
    if let Some(Value::Object(target)) = target {
        schema.shift_remove("$ref");
        for (key, value) in target {
            if key != "$ref" {
                schema.entry(key).or_insert(value);
            }
        }
    }
}

/// Merges the properties of `allOf`, `anyOf` and `oneOf` into the top level. Only names that `allOf` requires stay
/// required; the server still checks everything else.
fn merge_alternatives(schema: &mut JsonObject) {
    for key in ["allOf", "anyOf", "oneOf"] {
        let Some(Value::Array(parts)) = schema.shift_remove(key) else { continue };
        let mut required: Vec<Value> = Vec::new();
        for part in parts.iter().filter_map(Value::as_object) {
            let mut part = part.clone();
            if let Some(Value::String(reference)) = part.get("$ref") {
                let target = reference.strip_prefix('#').map(|path| path.to_owned());
                let target = target.and_then(|path| Value::Object(schema.clone()).pointer(&path).cloned());
                part = target.and_then(|target| target.as_object().cloned()).unwrap_or_default();
            }
            if let (Some(Value::Object(more)), Some(properties)) = (
                part.get("properties"),
                schema.entry("properties").or_insert_with(|| Value::Object(Map::new())).as_object_mut(),
            ) {
                for (name, schema) in more {
                    properties.entry(name.clone()).or_insert_with(|| schema.clone());
                }
            }
            if key == "allOf" {
                required.extend(part.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
            }
        }
        if let Some(all) = schema.entry("required").or_insert_with(|| json!([])).as_array_mut() {
            for name in required {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(schema: Value) -> Value {
        let schema = schema.as_object().unwrap();
        let strict = strict(schema);
        assert_eq!(is_strict(schema), strict == *schema, "{schema:?}");
        assert!(is_strict(&strict), "{strict:?}");
        Value::Object(strict)
    }

    #[test]
    fn a_good_schema_is_not_changed() {
        let good = json!({"type": "object", "properties": {"a": {"type": ["string", "null"], "default": null,
            "enum": ["x", null]}, "b": {"type": "object", "additionalProperties": false}}, "required": ["a"],
            "additionalProperties": false});
        assert_eq!(repaired(good.clone()), good);
    }

    #[test]
    fn odd_schemas_become_ones_that_strict_clients_accept() {
        let empty = json!({"type": "object", "properties": {}});
        for odd in [
            json!({}),
            json!({"type": null}),
            json!({"type": "string"}),
            json!({"type": ["object", "null"]}),
            json!({"type": "object", "properties": null, "required": null}),
            json!({"type": "object", "properties": [], "required": "a"}),
            json!({"type": "object", "required": [1, null]}),
        ] {
            let result = repaired(odd.clone());
            assert_eq!((&result["type"], &result["properties"]), (&empty["type"], &empty["properties"]), "{odd}");
            assert!(result.get("required").is_none(), "{odd}");
        }
        let odd = json!({"type": "object", "properties": {"a": true, "b": null, "c": false,
            "d": {"anyOf": [true, {"type": "string", "description": null}]}, "e": {"properties": {"f": true}}}});
        assert_eq!(
            repaired(odd)["properties"],
            json!({"a": {}, "b": {}, "c": {"not": {}}, "d": {"anyOf": [{}, {"type": "string"}]},
                "e": {"properties": {"f": {}}}})
        );
    }

    #[test]
    fn an_output_schema_that_says_nothing_is_left_out() {
        let output = |schema: Value| {
            let mut tool = Tool::new("t", "", JsonObject::new());
            tool.output_schema = Some(Arc::new(schema.as_object().unwrap().clone()));
            repair(&mut tool);
            tool.output_schema.is_some()
        };
        assert!(!output(json!({})));
        assert!(!output(json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": null})));
        assert!(!output(json!({"type": "array"})));
        assert!(output(json!({"type": "object"})));
    }

    #[test]
    fn references_and_alternatives_at_the_top_become_one_object() {
        let by_reference = json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {}}}}});
        assert_eq!(repaired(by_reference)["properties"], json!({"a": {}}));
        let alternatives = json!({"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]});
        assert_eq!(repaired(alternatives), json!({"properties": {"a": {}, "b": {}}, "type": "object"}));
        let all = json!({"allOf": [{"properties": {"a": {}}, "required": ["a"]}]});
        assert_eq!(repaired(all)["required"], json!(["a"]));
    }
}
