//! The JSON Schema of `mcp_config.json`, from the types that read it: for editors and for the documentation.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::Config;

/// The schema. Unknown keys are allowed, because other programs may keep theirs in the file.
pub fn schema() -> Value {
    // Draft 7 is the newest that common editors understand completely.
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), "MCPProxy configuration".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_users_write_are_described() {
        let schema = schema();
        for key in ["listen", "mcpServers", "telemetry", "call_tool_timeout"] {
            assert!(schema["properties"][key].is_object(), "{key}");
        }
        assert_eq!(schema["properties"]["listen"]["default"], "127.0.0.1:8080");
        assert_eq!(schema["properties"]["call_tool_timeout"]["default"], "2m");
        assert_eq!(schema["definitions"]["ServerConfig"]["required"], serde_json::json!(["name"]));
        assert!(schema["additionalProperties"].is_null());
    }

    #[test]
    fn every_key_has_a_description() {
        let schema = schema();
        let definitions = schema["definitions"].as_object().unwrap().iter();
        let objects = definitions.map(|(name, object)| (name.as_str(), object)).chain([("Config", &schema)]);
        for (name, object) in objects {
            for (key, value) in object["properties"].as_object().into_iter().flatten() {
                let described =
                    value["description"].is_string() || value["$ref"].is_string() || value["anyOf"].is_array();
                assert!(described, "{name}.{key}");
            }
        }
    }
}
