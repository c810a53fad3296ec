//! `mcpproxy activity`: recent tool calls of the running core.

use crate::cli::args::ActivityCommand;
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::{pairs, print, rows};
use crate::client::path_segment;
use crate::contract::api::{ActivityList, ActivityRecord, ActivitySummary};

pub async fn run(context: &Context, link: &CoreLink, command: ActivityCommand) -> Result<(), CliError> {
    let client = link.require()?;
    match command {
        ActivityCommand::List { server, status, limit } => {
            let mut path = format!("/api/v1/activity?type=tool_call&limit={limit}");
            for (name, value) in [("server", server), ("status", status)] {
                if let Some(value) = value {
                    path += &format!("&{name}={}", path_segment(&value));
                }
            }
            let found: ActivityList = client.get(&path).await?;
            print(context.format, &found.activities, |calls| listed(calls))
        }
        ActivityCommand::Summary => {
            let summary: ActivitySummary = client.get("/api/v1/activity/summary").await?;
            print(context.format, &summary, |summary| {
                let top: Vec<String> =
                    summary.top_servers.iter().map(|one| format!("{} {}", one.name, one.count)).collect();
                pairs(&[
                    ("Calls", summary.total_count.to_string()),
                    ("Succeeded", summary.success_count.to_string()),
                    ("Failed", summary.error_count.to_string()),
                    ("Blocked", summary.blocked_count.to_string()),
                    ("Servers", top.join(", ")),
                ])
            })
        }
    }
}

fn listed(calls: &[ActivityRecord]) -> String {
    let row = |call: &ActivityRecord| {
        let when = call.timestamp.get(..19).unwrap_or(&call.timestamp).replace('T', " ");
        vec![
            when,
            format!("{}:{}", call.server_name, call.tool_name),
            call.status.clone(),
            format!("{} ms", call.duration_ms),
            call.error_message.clone().unwrap_or_default(),
        ]
    };
    rows(&["TIME (UTC)", "TOOL", "STATUS", "DURATION", "ERROR"], calls.iter().map(row).collect(), "No calls yet.")
}
