//! `mcpproxy tools …` and `mcpproxy call …`: the tools that AI clients find and call, at a terminal.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalog::call_variant::Intent;
use crate::catalog::tool_id;
use crate::cli::args::{CallArguments, CallCommand, ToolsCommand};
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error, missing};
use crate::cli::error::CliError;
use crate::cli::format::Format;
use crate::cli::output::{print, rows, state};
use crate::client::go_core::call_result;
use crate::client::path_segment;
use crate::contract::api::{
    AllTools, CallRequest, FoundTool, FoundTools, ServerAction, ServerTool, ServerTools, ToolSwitch,
};
use crate::contract::exact_numbers::hold;
use crate::contract::exit_code::ExitCode;

/// The core limits the duration of a call; this limit only catches a core that hangs.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 3600);
/// Printed instead of an empty list.
const NO_MATCH: &str = "No matching tools. Only tools of connected servers are found; see `mcpproxy upstream list`.";
const NO_TOOLS: &str = "No tools. Tools appear when their server is connected; see `mcpproxy upstream list`.";

pub async fn run(context: &Context, link: &CoreLink, command: ToolsCommand) -> Result<(), CliError> {
    let client = || link.require();
    match command {
        ToolsCommand::Enable(options) => switch(context, link, &options.tools, true).await,
        ToolsCommand::Disable(options) => switch(context, link, &options.tools, false).await,
        ToolsCommand::List { server: None } => {
            let all: AllTools = client()?.get("/api/v1/tools").await?;
            print(context.format, &all.tools, |tools| listed(tools))
        }
        ToolsCommand::List { server: Some(server) } => {
            let path = format!("/api/v1/servers/{}/tools", path_segment(&server));
            let tools: ServerTools = client()?.get(&path).await.map_err(|error| missing(error, &server))?;
            print(context.format, &tools.tools, |tools| listed(tools))
        }
        ToolsCommand::Search { words, limit, explain } => {
            let query = path_segment(&words.join(" "));
            let path = format!("/api/v1/index/search?q={query}&limit={limit}&explain={explain}");
            let found: FoundTools = client()?.get(&path).await?;
            if explain {
                return print(context.format, &found, explained);
            }
            print(context.format, &found.results, |found| {
                let row =
                    |found: &FoundTool| vec![name(found), found.call_with.to_string(), start(&found.tool.description)];
                rows(&["NAME", "CALL WITH", "DESCRIPTION"], found.iter().map(row).collect(), NO_MATCH)
            })
        }
    }
}

fn name(found: &FoundTool) -> String {
    format!("{}:{}", found.tool.server_name, found.tool.name)
}

/// Each tool with what the words of the query add to its score, and how many searches of AI clients led to a call.
fn explained(found: &FoundTools) -> String {
    let mut lines: Vec<String> = Vec::new();
    if found.results.is_empty() {
        lines.push(NO_MATCH.to_owned());
    }
    for (rank, tool) in (1..).zip(&found.results) {
        lines.push(format!("{rank}. {}  score {:.1}", name(tool), tool.score));
        let Some(why) = &tool.explanation else { continue };
        for word in &why.words {
            lines.push(if word.matches.is_empty() {
                format!("     {}: no match", word.word)
            } else {
                format!("     {}: {} adds {:.1}", word.word, word.matches, word.adds)
            });
        }
        let percent = |share: f32| (100.0 * share).round();
        lines.push(format!(
            "     {}% of the tool's name is in the query, {}% of the query matches",
            percent(why.share_of_name),
            percent(why.share_of_query)
        ));
    }
    if let Some(counts) = &found.counts {
        lines.push(counts.in_words());
    }
    lines.join("\n")
}

fn listed(tools: &[ServerTool]) -> String {
    let row = |tool: &ServerTool| {
        let name = format!("{}:{}", tool.server_name, tool.name);
        vec![name, state(tool).to_owned(), start(&tool.description)]
    };
    rows(&["NAME", "STATE", "DESCRIPTION"], tools.iter().map(row).collect(), NO_TOOLS)
}

/// Turns tools on or off, through the running core or in the configuration file.
async fn switch(context: &Context, link: &CoreLink, tools: &[String], on: bool) -> Result<(), CliError> {
    let named = tools.iter().map(|id| tool_id::split(id));
    let named: Vec<(&str, &str)> =
        named.collect::<Result<_, _>>().map_err(|sentence| CliError::new("INVALID_INPUT", sentence))?;
    for (server, tool) in &named {
        match link.running() {
            Some(client) => {
                let path = format!("/api/v1/servers/{}/tools/{}/enabled", path_segment(server), path_segment(tool));
                let body = json!(ToolSwitch { enabled: on });
                let done: Result<ServerAction, _> = client.post(&path, Some(&body)).await;
                done.map_err(|error| missing(error, server))?;
            }
            None => link
                .edit_file(context, |document| document.switch_tool(server, tool, on))
                .map_err(|error| config_error(&error))?,
        }
    }
    let done: Vec<SwitchedTool<'_>> = tools.iter().map(|tool| SwitchedTool { tool, enabled: on }).collect();
    print(context.format, &done, |done| {
        let lines = done.iter().map(|done| format!("Turned {} `{}`.", if on { "on" } else { "off" }, done.tool));
        lines.collect::<Vec<_>>().join("\n")
    })
}

#[derive(Serialize)]
struct SwitchedTool<'a> {
    tool: &'a str,
    enabled: bool,
}

/// The start of a description.
fn start(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Calls a tool and prints its result. Exits with 1 if the tool reports an error.
pub async fn call(context: &Context, link: &CoreLink, command: CallCommand) -> Result<ExitCode, CliError> {
    let (intent, options) = match command {
        CallCommand::Read(options) => (Intent::Read, options),
        CallCommand::Write(options) => (Intent::Write, options),
        CallCommand::Destructive(options) => (Intent::Destructive, options),
    };
    let tool = options.tool.clone();
    let (server, _) = tool_id::split(&tool).map_err(|_| {
        CliError::usage("INVALID_INPUT", format!("`{tool}` is not a full tool name: expected SERVER:TOOL"))
            .guided("see all tools with `mcpproxy tools list`")
    })?;
    let arguments = arguments(options)?;
    let client = link.require()?.clone().with_answer_limit(LONGEST_CALL);
    if std::io::stderr().is_terminal() {
        eprintln!("Calling {}…", arguments.get("name").and_then(Value::as_str).unwrap_or_default());
    }
    let request = CallRequest {
        tool_name: intent.tool().into(),
        arguments,
    };
    let result = call_result(client.post_exact("/api/v1/tools/call", &json!(request)).await?);
    let failed = result.get("isError").and_then(Value::as_bool) == Some(true);
    if failed && context.format == Format::Table {
        if let Some(refused) = refusal(&result) {
            return Err(refused);
        }
        print(context.format, &result, texts)?;
        return Err(CliError::new("TOOL_FAILED", format!("`{tool}` returned an error"))
            .guided(format!("see what it expects with `mcpproxy upstream inspect {server}`")));
    }
    print(context.format, &result, texts)?;
    Ok(if failed { ExitCode::General } else { ExitCode::Clean })
}

/// The error of a call that MCPProxy refused: its own results name the cause and the help in members.
fn refusal(result: &Value) -> Option<CliError> {
    let refused: Map<String, Value> = serde_json::from_str(&texts(result)).ok()?;
    let text = |key: &str| refused.get(key).and_then(Value::as_str);
    let (message, help) = (text("error")?, text("troubleshooting")?);
    text("server_name").map(|_| CliError::new("TOOL_FAILED", message).guided(help))
}

fn arguments(options: CallArguments) -> Result<Map<String, Value>, CliError> {
    let mut text = options.json_args;
    if text == "-" {
        text.clear();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| CliError::new("INVALID_INPUT", format!("could not read standard input: {error}")))?;
    }
    let args: Map<String, Value> = serde_json::from_str(&hold(&text)).map_err(|error| {
        CliError::usage("INVALID_INPUT", format!("-j is not a valid JSON object: {error}"))
            .guided(r#"for example: -j '{"message": "Hello"}'"#)
    })?;
    let mut arguments = Map::from_iter([
        ("name".to_owned(), json!(options.tool)),
        ("args".to_owned(), json!(args)),
    ]);
    arguments.extend(options.reason.map(|reason| ("intent_reason".to_owned(), json!(reason))));
    arguments.extend(options.sensitivity.map(|word| ("intent_data_sensitivity".to_owned(), json!(word))));
    Ok(arguments)
}

/// The text of a result without control characters; other content is named by its type.
fn texts(result: &Value) -> String {
    let contents = result.get("content").and_then(Value::as_array).into_iter().flatten();
    let shown = contents.map(|content| match content.get("text").and_then(Value::as_str) {
        Some(text) => text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect(),
        None => {
            let kind = content.get("type").and_then(Value::as_str).unwrap_or("content");
            format!("[{kind}: shown with -o json]")
        }
    });
    shown.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_error_with_help_and_a_tools_own_error_is_its_text() {
        let result = |text: Value| json!({"isError": true, "content": [{"type": "text", "text": text.to_string()}]});
        let refused =
            refusal(&result(json!({"error": "it is starting", "server_name": "db", "troubleshooting": "wait"})));
        let refused = refused.unwrap();
        assert_eq!((refused.message.as_str(), refused.guidance.as_deref()), ("it is starting", Some("wait")));
        assert!(refusal(&result(json!({"error": "no such table"}))).is_none());
        assert!(refusal(&result(json!("no such table"))).is_none());
    }

    #[test]
    fn a_search_without_a_match_says_so_with_its_explanation_too() {
        let found: FoundTools = serde_json::from_value(json!({"results": []})).unwrap();
        assert!(explained(&found).starts_with("No matching tools."));
    }

    #[test]
    fn a_result_cannot_drive_the_terminal_and_keeps_its_lines() {
        let result = json!({"content": [{"type": "text", "text": "a\n\u{1b}[31mb"}, {"type": "image", "data": ""}]});
        assert_eq!(texts(&result), "a\n[31mb\n[image: shown with -o json]");
        assert_eq!(texts(&json!({})), "");
    }
}
