//! `mcpproxy tools …` and `mcpproxy call …`: what AI clients can find and call, for a person at a terminal.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalog::call_variant::Intent;
use crate::catalog::tool_id;
use crate::cli::args::{CallArguments, CallCommand, ToolsCommand};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, missing, no_core};
use crate::cli::error::CliError;
use crate::cli::output::{print, rows, state};
use crate::client::path_segment;
use crate::contract::api::{AllTools, FoundTool, FoundTools, ServerAction, ServerTool, ServerTools};
use crate::contract::exit_code::ExitCode;

/// A call may take as long as the core lets it; this is for a core that hangs.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 3600);

pub async fn run(context: &Context, link: &CoreLink, command: ToolsCommand) -> Result<(), CliError> {
    let client = || link.running().ok_or_else(no_core);
    match command {
        ToolsCommand::Enable(options) => switch(context, link, &options.tools, true).await,
        ToolsCommand::Disable(options) => switch(context, link, &options.tools, false).await,
        ToolsCommand::List { server: None } => {
            let all: AllTools = client()?.get("/api/v1/tools").await?;
            print(context.format, &all.tools, |tools| listed(tools))
        }
        ToolsCommand::List { server: Some(server) } => {
            let path = format!("/api/v1/servers/{}/tools", path_segment(&server));
            let tools: ServerTools = client()?.get(&path).await?;
            print(context.format, &tools.tools, |tools| listed(tools))
        }
        ToolsCommand::Search { words, limit } => {
            let path = format!("/api/v1/index/search?q={}&limit={limit}", path_segment(&words.join(" ")));
            let found: FoundTools = client()?.get(&path).await?;
            print(context.format, &found.results, |found| {
                let row = |found: &FoundTool| {
                    let name = format!("{}:{}", found.tool.server_name, found.tool.name);
                    vec![name, found.call_with.clone(), start(&found.tool.description)]
                };
                rows(&["NAME", "CALL WITH", "DESCRIPTION"], found.iter().map(row).collect())
            })
        }
    }
}

fn listed(tools: &[ServerTool]) -> String {
    let row = |tool: &ServerTool| {
        let name = format!("{}:{}", tool.server_name, tool.name);
        vec![name, state(tool).to_owned(), start(&tool.description)]
    };
    rows(&["NAME", "STATE", "DESCRIPTION"], tools.iter().map(row).collect())
}

/// Switches tools on or off, by the running core or in the configuration.
async fn switch(context: &Context, link: &CoreLink, tools: &[String], on: bool) -> Result<(), CliError> {
    let named = tools.iter().map(|id| tool_id::split(id));
    let named: Vec<(&str, &str)> =
        named.collect::<Result<_, _>>().map_err(|sentence| CliError::new("INVALID_INPUT", sentence))?;
    for (server, tool) in &named {
        match link.running() {
            Some(client) => {
                let path = format!("/api/v1/servers/{}/tools/{}/enabled", path_segment(server), path_segment(tool));
                let body = json!({"enabled": on});
                let done: Result<ServerAction, _> = client.post(&path, Some(&body)).await;
                done.map_err(|error| missing(error, server))?;
            }
            None => link
                .edit_file(context, |document| document.switch_tool(server, tool, on))
                .map_err(|error| config_error(&error))?,
        }
    }
    let done: Vec<Switched<'_>> = tools.iter().map(|tool| Switched { tool, enabled: on }).collect();
    print(context.format, &done, |done| {
        let lines = done.iter().map(|done| format!("`{}` is {}.", done.tool, if on { "on" } else { "off" }));
        lines.collect::<Vec<_>>().join("\n")
    })
}

#[derive(Serialize)]
struct Switched<'a> {
    tool: &'a str,
    enabled: bool,
}

/// The start of a server's own text.
fn start(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Calls a tool and prints what it answers; exit code 1 when the tool says that it failed.
pub async fn call(context: &Context, link: &CoreLink, command: CallCommand) -> Result<ExitCode, CliError> {
    let (intent, options) = match command {
        CallCommand::Read(options) => (Intent::Read, options),
        CallCommand::Write(options) => (Intent::Write, options),
        CallCommand::Destructive(options) => (Intent::Destructive, options),
    };
    let arguments = arguments(options)?;
    let client = link.running().ok_or_else(no_core)?.clone().with_answer_limit(LONGEST_CALL);
    if std::io::stderr().is_terminal() {
        eprintln!("calling {}…", arguments.get("name").and_then(Value::as_str).unwrap_or_default());
    }
    let body = json!({"tool_name": intent.tool(), "arguments": arguments});
    let result: Value = client.post("/api/v1/tools/call", Some(&body)).await?;
    print(context.format, &result, texts)?;
    let failed = result.get("isError").and_then(Value::as_bool) == Some(true);
    Ok(if failed { ExitCode::General } else { ExitCode::Clean })
}

fn arguments(options: CallArguments) -> Result<Map<String, Value>, CliError> {
    let mut text = options.json_args;
    if text == "-" {
        text.clear();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| CliError::new("INVALID_INPUT", format!("standard input: {error}")))?;
    }
    let args: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| CliError::new("INVALID_INPUT", format!("the tool's arguments are no JSON object: {error}")))?;
    let mut arguments = Map::from_iter([
        ("name".to_owned(), json!(options.tool)),
        ("args".to_owned(), json!(args)),
    ]);
    arguments.extend(options.reason.map(|reason| ("intent_reason".to_owned(), json!(reason))));
    arguments.extend(options.sensitivity.map(|word| ("intent_data_sensitivity".to_owned(), json!(word))));
    Ok(arguments)
}

/// The texts of a result, as they are but for what could drive the terminal; other contents by their kind.
fn texts(result: &Value) -> String {
    let contents = result.get("content").and_then(Value::as_array).into_iter().flatten();
    let shown = contents.map(|content| match content.get("text").and_then(Value::as_str) {
        Some(text) => text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect(),
        None => {
            let kind = content.get("type").and_then(Value::as_str).unwrap_or("content");
            format!("[{kind}: see it with -o json]")
        }
    });
    shown.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_cannot_drive_the_terminal_and_keeps_its_lines() {
        let result = json!({"content": [{"type": "text", "text": "a\n\u{1b}[31mb"}, {"type": "image", "data": ""}]});
        assert_eq!(texts(&result), "a\n[31mb\n[image: see it with -o json]");
        assert_eq!(texts(&json!({})), "");
    }
}
