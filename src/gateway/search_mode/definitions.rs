//! Definitions of the tools that every client of `/mcp` sees.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::catalog::call_variant::Intent;
use crate::config::MAX_TOOLS_LIMIT;

/// Name of the search tool.
pub const RETRIEVE_TOOLS: &str = "retrieve_tools";

/// Name of the tool that shows definitions of tools.
pub const DESCRIBE_TOOL: &str = "describe_tool";

/// Name of the tool that reads the rest of a truncated result.
pub const READ_CACHE: &str = "read_cache";

/// Maximum number of records in one `read_cache` result.
pub const MOST_RECORDS: u64 = 1000;

/// Maximum number of tools that one `describe_tool` call shows.
pub const MOST_DESCRIBED: usize = 5;

/// Maximum number of tools that one `describe_tool` call checks.
pub const MOST_CHECKED: usize = 50;

/// Instructions for the client's model.
pub const INSTRUCTIONS: &str = "This server gives access to the tools of many other servers. First search with retrieve_tools. \
Then call a tool that it found with the tool named in its call_with (call_tool_read if there is none), with the tool's `name` \
and `args`.";

/// Returns all definitions; `default_limit` is the default number of tools in a search result.
pub fn definitions(default_limit: usize) -> Vec<Tool> {
    let mut tools = vec![retrieve_tools(default_limit), describe_tool()];
    tools.extend(Intent::ALL.map(call_tool));
    tools.push(read_cache());
    tools
}

fn retrieve_tools(default_limit: usize) -> Tool {
    let description = "Searches the tools of all connected servers. Call this first.";
    let schema = json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What you want to do"},
            "limit": {"type": "integer", "description": format!("1 to {MAX_TOOLS_LIMIT}, default {default_limit}")},
            "detail": {"type": "string", "enum": ["full", "compact"]},
            "read_only_only": flag(),
            "exclude_destructive": flag(),
            "exclude_open_world": flag(),
            "include_disabled": described_flag("Also tools that the user would have to enable or approve"),
            "include_stats": flag(),
            "include_session_risk_warning": flag(),
            "debug": flag(),
            "explain_tool": {"type": "string", "description": "server:tool: explain its rank"},
        },
        "required": ["query"],
    });
    let annotations = ToolAnnotations::with_title("Find tools").read_only(true).open_world(false);
    Tool::new(RETRIEVE_TOOLS, description, object(schema)).with_annotations(annotations)
}

fn describe_tool() -> Tool {
    let schema = json!({
        "type": "object",
        "properties": {
            "tool_ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_CHECKED,
                "description": "server:tool; up to 5, or 50 with check"},
            "check": described_flag("Only check whether each can be called now"),
            "filters": {"type": "object", "additionalProperties": false,
                "description": "Only with check",
                "properties": {
                    "read_only_only": flag(),
                    "exclude_destructive": flag(),
                    "exclude_open_world": flag(),
                }},
        },
        "required": ["tool_ids"],
    });
    let annotations = ToolAnnotations::with_title("Describe tools").read_only(true).open_world(false);
    let description = "Shows the full description and inputSchema of tools.";
    Tool::new(DESCRIBE_TOOL, description, object(schema)).with_annotations(annotations)
}

/// Returns the tool that reads truncated results.
pub fn read_cache() -> Tool {
    let schema = json!({
        "type": "object",
        "properties": {
            "key": {"type": "string", "description": "From the end of the truncated result"},
            "offset": {"type": "integer", "minimum": 0, "description": "First record, default 0"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS, "description": "Default 50"},
        },
        "required": ["key"],
    });
    let annotations = ToolAnnotations::with_title("Read a truncated result").read_only(true).open_world(false);
    let description = "Reads more records of a truncated result. Continue at `next_offset`.";
    Tool::new(READ_CACHE, description, object(schema)).with_annotations(annotations)
}

fn call_tool(intent: Intent) -> Tool {
    let (title, description, annotations) = match intent {
        Intent::Read => (
            "Call a read-only tool",
            "Calls a tool found by retrieve_tools that only reads.",
            ToolAnnotations::new().read_only(true),
        ),
        Intent::Write => (
            "Call a writing tool",
            "Calls a tool found by retrieve_tools that creates or changes something.",
            ToolAnnotations::new().read_only(false).destructive(false),
        ),
        Intent::Destructive => (
            "Call a destructive tool",
            "Calls a tool found by retrieve_tools that may delete or overwrite something.",
            ToolAnnotations::new().read_only(false).destructive(true),
        ),
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "server:tool"},
            "args": {"type": "object", "description": "The tool's arguments"},
            "args_json": {"type": "string", "description": "args as JSON text, if objects cannot be sent"},
            "intent_data_sensitivity": {"type": "string", "enum": ["public", "internal", "private", "unknown"]},
            "intent_reason": {"type": "string", "maxLength": 1000},
        },
        "required": ["name"],
    });
    let mut annotations = annotations.open_world(true);
    annotations.title = Some(title.to_owned());
    Tool::new(intent.tool(), description, object(schema)).with_annotations(annotations)
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn described_flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

pub fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(map) => map,
        _ => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_sees_the_same_tools_with_schemas() {
        let tools = definitions(10);
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(
            names,
            [
                "retrieve_tools",
                "describe_tool",
                "call_tool_read",
                "call_tool_write",
                "call_tool_destructive",
                "read_cache"
            ]
        );
        for tool in &tools {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert!(tool.annotations.is_some(), "{}", tool.name);
        }
    }

    #[test]
    fn the_tools_of_the_go_core_are_offered() {
        let tools = definitions(10);
        let offered = |name: &str| {
            let tool = tools.iter().find(|tool| tool.name == name).unwrap();
            tool.input_schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            offered("retrieve_tools"),
            [
                "query",
                "limit",
                "detail",
                "read_only_only",
                "exclude_destructive",
                "exclude_open_world",
                "include_disabled",
                "include_stats",
                "include_session_risk_warning",
                "debug",
                "explain_tool"
            ]
        );
        assert_eq!(offered("describe_tool"), ["tool_ids", "check", "filters"]);
        assert_eq!(
            offered("call_tool_read"),
            ["name", "args", "args_json", "intent_data_sensitivity", "intent_reason"]
        );
    }
}
