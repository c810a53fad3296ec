//! The tools that every client sees, however many servers there are (contract: mcp-tools §2.1).

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::catalog::call_variant::Intent;

/// Name of the search tool.
pub const RETRIEVE_TOOLS: &str = "retrieve_tools";

/// Name of the tool that shows definitions by name.
pub const DESCRIBE_TOOL: &str = "describe_tool";

/// Name of the tool that reads on where a result was cut.
pub const READ_CACHE: &str = "read_cache";

/// Most records one `read_cache` returns.
pub const MOST_RECORDS: u64 = 1000;

/// Most tools one `describe_tool` shows.
pub const MOST_DESCRIBED: usize = 5;

/// Most tools one `describe_tool` checks.
pub const MOST_CHECKED: usize = 50;

/// What a client's model is told about this server.
pub const INSTRUCTIONS: &str = "This server leads to the tools of many other servers. First call retrieve_tools with a few \
words on what you want to do; each tool it returns names the call tool to use in `call_with`. Then call that one with the \
tool's `name` (`server:tool`) and `args` as its `inputSchema` asks.";

/// All of them.
pub fn definitions() -> Vec<Tool> {
    let mut tools = vec![retrieve_tools(), describe_tool()];
    tools.extend(Intent::ALL.map(call_tool));
    tools.push(read_cache());
    tools
}

fn retrieve_tools() -> Tool {
    let description = "Finds the tools that fit a task, among all tools of all connected servers. Call this first. \
        The result names each tool's full name, its input schema, and in `call_with` the tool to call it with.";
    let schema = json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What you want to do, in a few words"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Most tools to return (default 15)"},
            "detail": {"type": "string", "enum": ["full", "compact"],
                "description": "compact: one line for each tool instead of its schema; describe_tool shows the schema (default full)"},
            "read_only_only": flag("Only tools whose servers say that they only read"),
            "exclude_destructive": flag("Leave out tools that may destroy something; a server that says nothing counts as may"),
            "exclude_open_world": flag("Leave out tools that may reach outside; a server that says nothing counts as may"),
            "include_disabled": flag("List also tools that fit and may not be used now, and what a person can do about it"),
            "include_stats": flag("Say how often and when each tool was last called"),
            "include_session_risk_warning": flag("Say in words what all tools together could be misused for"),
            "debug": flag("Say which words were looked for"),
            "explain_tool": {"type": "string", "description": "Full name of a tool, server:tool: say why it stands where it does"},
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
                "description": "Full names of tools, server:tool: up to 5, up to 50 with check"},
            "check": flag("Say only whether each could be called now, and what stands in the way"),
            "filters": {"type": "object", "additionalProperties": false,
                "description": "With check: what a tool must not be able to do, as in retrieve_tools",
                "properties": {
                    "read_only_only": {"type": "boolean"},
                    "exclude_destructive": {"type": "boolean"},
                    "exclude_open_world": {"type": "boolean"},
                }},
        },
        "required": ["tool_ids"],
    });
    let annotations = ToolAnnotations::with_title("Describe tools").read_only(true).open_world(false);
    let description =
        "Shows the definitions of tools whose full names are known, or checks whether they could be called now.";
    Tool::new(DESCRIBE_TOOL, description, object(schema)).with_annotations(annotations)
}

fn read_cache() -> Tool {
    let schema = json!({
        "type": "object",
        "properties": {
            "key": {"type": "string", "description": "The key that stands at the end of the result that was cut"},
            "offset": {"type": "integer", "minimum": 0, "description": "First record to return (default 0)"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS, "description": "Most records to return (default 50)"},
        },
        "required": ["key"],
    });
    let annotations = ToolAnnotations::with_title("Read a long result").read_only(true).open_world(false);
    let description = "Reads the rest of a result that was cut because of its length, in records: elements of its list, \
        or lines. A page may hold fewer records than asked for; go on at `next_offset`.";
    Tool::new(READ_CACHE, description, object(schema)).with_annotations(annotations)
}

fn call_tool(intent: Intent) -> Tool {
    let (title, description, annotations) = match intent {
        Intent::Read => (
            "Call a reading tool",
            "Calls a tool that only reads: it changes nothing.",
            ToolAnnotations::new().read_only(true),
        ),
        Intent::Write => (
            "Call a writing tool",
            "Calls a tool that creates or changes something and destroys nothing.",
            ToolAnnotations::new().read_only(false).destructive(false),
        ),
        Intent::Destructive => (
            "Call a destructive tool",
            "Calls a tool that may delete or overwrite something for good.",
            ToolAnnotations::new().read_only(false).destructive(true),
        ),
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "The tool's full name as retrieve_tools gave it, server:tool"},
            "args": {"type": "object", "description": "The tool's arguments, as its inputSchema asks"},
            "args_json": {"type": "string", "description": "The same as JSON text, for clients that cannot send an object; wins over args"},
            "intent_data_sensitivity": {"type": "string", "enum": ["public", "internal", "private", "unknown"],
                "description": "How sensitive the data of this call is"},
            "intent_reason": {"type": "string", "maxLength": 1000, "description": "Why this call is made"},
        },
        "required": ["name"],
    });
    let description = format!("{description} Find the tool with retrieve_tools first; its `call_with` names this one.");
    let mut annotations = annotations.open_world(true);
    annotations.title = Some(title.to_owned());
    Tool::new(intent.tool(), description, object(schema)).with_annotations(annotations)
}

fn flag(description: &str) -> Value {
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
        let tools = definitions();
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
    fn what_the_contract_names_is_offered() {
        let tools = definitions();
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
