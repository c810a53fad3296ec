//! Results for calls that were refused or failed.
//!
//! They never contain text of servers that are not approved, or arguments of the call.

use rmcp::model::{CallToolResult, ContentBlock, ErrorData, JsonObject};
use serde::Serialize;

use crate::catalog::call_variant::Intent;
use crate::catalog::tool_id;
use crate::contract::failure::FailureKind;
use crate::gateway::call_arguments::CallArgumentsError;
use crate::upstream::error::CallError;

/// Maximum length of a quoted server error, in characters.
const LONGEST_ERROR: usize = 500;

const SECURITY_HELP: &str = "A server needs approval when it is new, when its entry was changed, or when it was quarantined. \
    Until then it does not run, so that none of its text reaches a model.";

/// The result of a call to a server that needs approval.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuarantinedServer<'a> {
    status: &'static str,
    server_name: &'a str,
    tool_name: &'a str,
    message: String,
    instructions: String,
    security_help: &'static str,
}

/// The result of a call to a tool that needs approval.
#[derive(Serialize)]
struct QuarantinedTool<'a> {
    status: &'static str,
    server_name: &'a str,
    tool_name: &'a str,
    reason: &'static str,
    message: String,
    action: String,
}

/// The result of a call to a server that could not be reached.
#[derive(Serialize)]
struct NotReached<'a> {
    error: String,
    server_name: &'a str,
    tool_name: &'a str,
    troubleshooting: String,
}

/// The result of a call with invalid arguments.
#[derive(Serialize)]
struct InvalidArguments<'a> {
    error: String,
    error_type: &'static str,
    tool: &'a str,
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_schema: Option<&'a JsonObject>,
}

/// Returns an error result for the model: the problem, and what to do.
pub fn failed(sentence: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(sentence)])
}

/// Explains why a call of an upstream tool was refused or failed.
pub fn refusal(error: &CallError, server: &str, tool: &str) -> CallToolResult {
    match error {
        CallError::Quarantined(_) => result(
            error.kind(),
            &QuarantinedServer {
                status: "QUARANTINED_SERVER_BLOCKED",
                server_name: server,
                tool_name: tool,
                message: error.to_string(),
                instructions: format!(
                    "Tell the user what you want to use and why. Only the user can approve the server: in MCPProxy's menu, or \
                    with `mcpproxy upstream approve {server}`."
                ),
                security_help: SECURITY_HELP,
            },
        ),
        CallError::PendingTool { changed, .. } => result(
            error.kind(),
            &QuarantinedTool {
                status: "TOOL_QUARANTINED",
                server_name: server,
                tool_name: tool,
                reason: if *changed { "tool_description_changed" } else { "new_unapproved_tool" },
                message: error.to_string(),
                action: format!(
                    "Tell the user. They can review the tool with `mcpproxy upstream inspect {server}`, and approve it in \
                    MCPProxy's menu or with `mcpproxy upstream approve {server}` and the tool's name."
                ),
            },
        ),
        error => match troubleshooting(error, server) {
            Some(advice) => result(
                error.kind(),
                &NotReached {
                    error: error.to_string(),
                    server_name: server,
                    tool_name: tool,
                    troubleshooting: advice,
                },
            ),
            None => failed(&error.to_string()),
        },
    }
}

/// Returns advice for a server that could not be reached; `None` if the call itself is wrong.
fn troubleshooting(error: &CallError, server: &str) -> Option<String> {
    let log = format!(
        "See the server's log: upstream_servers with {{\"operation\": \"tail_log\", \"name\": \"{server}\"}}, or \
        `mcpproxy upstream logs {server}`."
    );
    Some(match error {
        CallError::SignInNeeded(_) => "Tell the user; waiting does not help.".to_owned(),
        CallError::Connecting(_) => {
            "Try again in a few seconds; the first start of a server may take minutes.".to_owned()
        }
        CallError::NotConnected { .. } => {
            format!(
                "MCPProxy retries automatically where that can help; the user can restart it with `mcpproxy upstream restart {server}`. {log}"
            )
        }
        CallError::Timeout { .. } => {
            format!("The server may still complete the call: check before you call again, or ask for less. {log}")
        }
        CallError::Ended { .. } => {
            format!("It may have completed part of the call: check before you call again in a few seconds. {log}")
        }
        CallError::Busy { retry_in, .. } => {
            format!("Too many calls are running or waiting. Nothing was done; call again in {} s.", retry_in.as_secs())
        }
        CallError::Other { .. } => log,
        CallError::UnknownServer { .. }
        | CallError::Disabled(_)
        | CallError::Quarantined(_)
        | CallError::UnknownTool { .. }
        | CallError::PendingTool { .. }
        | CallError::SwitchedOff { .. }
        | CallError::Upstream(_)
        | CallError::Refused(_) => return None,
    })
}

/// Reports a server's error about invalid arguments, together with the tool's schema.
pub fn invalid_arguments(error: &ErrorData, server: &str, tool: &str, schema: Option<&JsonObject>) -> CallToolResult {
    let id = tool_id::join(server, tool);
    let said: String =
        error.message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_ERROR).collect();
    let hint = "Correct the arguments to fit input_schema, and call the tool again.";
    result(
        FailureKind::Invalid,
        &InvalidArguments {
            error: format!("invalid arguments for {id}: {said}"),
            error_type: "invalid_params",
            tool: &id,
            hint: hint.to_owned(),
            input_schema: schema,
        },
    )
}

/// Reports invalid arguments of a call tool. The upstream tool has not run.
pub fn unreadable_call(intent: Intent, error: &CallArgumentsError, schema: Option<&JsonObject>) -> CallToolResult {
    let Some(id) = &error.id else { return failed(&error.message) };
    result(
        FailureKind::Invalid,
        &InvalidArguments {
            error: error.message.clone(),
            error_type: "invalid_params",
            tool: id,
            hint: format!("The tool has not run. Call {} with {{\"name\": …, \"args\": {{…}}}}.", intent.tool()),
            input_schema: schema,
        },
    )
}

/// Returns a result with this value as text. The kind of failure decides whether it is marked as an error.
fn result(kind: FailureKind, answer: &impl Serialize) -> CallToolResult {
    let content = vec![ContentBlock::text(serde_json::to_string(answer).unwrap_or_default())];
    if kind.is_tool_error() {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn read(result: &CallToolResult) -> (bool, Value) {
        let text = &result.content[0].as_text().unwrap().text;
        (result.is_error == Some(true), serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
    }

    #[test]
    fn a_call_that_needs_approval_returns_a_result_with_the_reason() {
        let (wrong, told) = read(&refusal(&CallError::Quarantined("s".into()), "s", "t"));
        assert!(!wrong);
        let keys: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "status",
                "serverName",
                "toolName",
                "message",
                "instructions",
                "securityHelp"
            ]
        );
        assert_eq!(told["status"], "QUARANTINED_SERVER_BLOCKED");
        for (changed, reason) in [(true, "tool_description_changed"), (false, "new_unapproved_tool")] {
            let held = CallError::PendingTool {
                server: "s".into(),
                tool: "t".into(),
                changed,
            };
            let (wrong, told) = read(&refusal(&held, "s", "t"));
            assert_eq!((wrong, &told["status"], &told["reason"]), (false, &json!("TOOL_QUARANTINED"), &json!(reason)));
            assert_eq!((&told["server_name"], &told["tool_name"]), (&json!("s"), &json!("t")));
            assert!(told["message"].is_string() && told["action"].is_string());
        }
    }

    #[test]
    fn an_unreachable_server_is_reported_with_advice() {
        let limit = Duration::from_secs(7);
        for error in [
            CallError::Connecting("s".into()),
            CallError::SignInNeeded("s".into()),
            CallError::NotConnected {
                server: "s".into(),
                reason: "gone".into(),
            },
            CallError::Timeout {
                server: "s".into(),
                limit,
            },
            CallError::Ended { server: "s".into() },
        ] {
            let (wrong, told) = read(&refusal(&error, "s", "t"));
            assert!(wrong);
            assert_eq!(told["error"], error.to_string());
            let keys: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["error", "server_name", "tool_name", "troubleshooting"]);
        }
        let (wrong, told) = read(&refusal(&CallError::Disabled("s".into()), "s", "t"));
        assert!(wrong && told.is_string());
    }

    #[test]
    fn invalid_arguments_are_returned_with_the_schema() {
        let error = ErrorData::invalid_params(format!("no\n  {}", "x".repeat(1000)), None);
        let schema = json!({"type": "object"}).as_object().cloned();
        let (wrong, told) = read(&invalid_arguments(&error, "s", "t", schema.as_ref()));
        assert!(wrong);
        let said = told["error"].as_str().unwrap();
        assert!(said.starts_with("invalid arguments for s:t: no xxx") && said.len() < 540, "{said}");
        assert_eq!((&told["error_type"], &told["tool"]), (&json!("invalid_params"), &json!("s:t")));
        assert_eq!(told["input_schema"], json!({"type": "object"}));
        assert!(read(&invalid_arguments(&error, "s", "t", None)).1.get("input_schema").is_none());
    }
}
