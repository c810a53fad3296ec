//! `mcpproxy activity`: the activity log of the running core.

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::activity::Format;
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::{pairs, print, report, rows, write_raw};
use crate::cli::prompt::confirm;
use crate::client::{CallError, Client, path_segment};
use crate::contract::api::{
    ActivityKind, ActivityList, ActivityPurged, ActivityRecord, ActivitySummary, ActivityUsage, EventBody, OneActivity,
    SavingsPeriod, TokenStats,
};
use crate::os::clock;

#[derive(Debug, Subcommand)]
pub enum ActivityCommand {
    /// List recent calls, newest first
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        filter: ActivityFilter,
        /// Maximum number of entries to show
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one entry with everything that is stored about it
    Show {
        /// The entry's ID (see `mcpproxy activity list -o json`)
        id: String,
    },
    /// Print entries as they arrive (Ctrl-C to stop)
    Watch {
        #[command(flatten)]
        filter: ActivityFilter,
    },
    /// Write entries as JSON lines or CSV
    Export {
        #[command(flatten)]
        filter: ActivityFilter,
        /// Format of the entries
        #[arg(long, default_value = "jsonl", value_parser = ["jsonl", "csv"])]
        format: String,
    },
    /// Show totals by outcome and server, and the tokens that the search saved
    Summary,
    /// Show calls, errors, durations and tokens by tool
    Usage {
        /// Period up to now
        #[arg(long, default_value = "24h", value_parser = ["1h", "24h", "7d", "30d"])]
        window: String,
    },
    /// Delete all recorded activity
    Purge {
        /// Skip the confirmation prompt
        #[arg(short, long)]
        yes: bool,
    },
}

/// Which entries to show.
#[derive(Debug, Args)]
pub struct ActivityFilter {
    /// Only this server
    #[arg(short, long, value_name = "NAME")]
    server: Option<String>,
    /// Only this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only this AI client
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only entries with this result
    #[arg(long, value_parser = ["success", "error", "blocked"])]
    status: Option<String>,
    /// Only entries with sensitive data
    #[arg(long)]
    sensitive: bool,
    /// Only entries from this time on: how long ago, such as `30m` or `7d`, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Only entries before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    /// Entries of every type: calls, approvals, changes and starts
    #[arg(short, long)]
    all: bool,
}

/// Reads a time, or how long ago it was.
fn moment(text: &str) -> Result<String, String> {
    moment_before(clock::now(), text).map(|time| time.to_string()).ok_or_else(|| {
        "expected how long ago, such as `30m`, `2h` or `7d`, or a time such as 2026-01-31T12:00:00Z".to_owned()
    })
}

fn moment_before(now: Timestamp, text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let ago = match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        Some(days) => SignedDuration::from_secs(days.checked_mul(24 * 3600)?),
        None => text.parse().ok()?,
    };
    (!ago.is_negative()).then(|| now.checked_sub(ago).ok()).flatten()
}

impl ActivityFilter {
    fn query(&self) -> String {
        let kind = (!self.all).then_some(ActivityKind::ToolCall);
        let pairs = [
            ("type", kind.as_ref().map(ActivityKind::word)),
            ("server", self.server.as_deref()),
            ("tool", self.tool.as_deref()),
            ("client", self.client.as_deref()),
            ("status", self.status.as_deref()),
            ("sensitive_data", self.sensitive.then_some("true")),
            ("start_time", self.since.as_deref()),
            ("end_time", self.until.as_deref()),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.map(|(name, value)| format!("&{name}={}", path_segment(value))).collect()
    }

    /// Whether this selects all calls.
    fn is_empty(&self) -> bool {
        let given = [
            &self.server,
            &self.tool,
            &self.client,
            &self.status,
            &self.since,
            &self.until,
        ];
        !self.sensitive && given.iter().all(|one| one.is_none())
    }

    fn matches(&self, record: &ActivityRecord) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
        (self.all || record.kind == ActivityKind::ToolCall)
            && is(&self.server, &record.server_name)
            && is(&self.tool, &record.tool_name)
            && is(&self.client, record.client_name.as_deref().unwrap_or_default())
            && is(&self.status, record.status.word())
            && (!self.sensitive || record.has_sensitive_data)
    }
}

pub async fn run(context: &Context, link: &CoreLink, command: ActivityCommand) -> Result<(), CliError> {
    let client = link.require()?;
    match command {
        ActivityCommand::List { filter, limit } => {
            let path = format!("/api/v1/activity?exclude_payloads=true&limit={limit}{}", filter.query());
            let found: ActivityList = client.get(&path).await?;
            let empty = if filter.is_empty() { "No calls yet." } else { "No entries match." };
            print(context.format, &found.activities, |calls| listed(calls, empty))
        }
        ActivityCommand::Show { id } => {
            let path = format!("/api/v1/activity/{}", path_segment(&id));
            let found: OneActivity = client.get(&path).await.map_err(|error| match &error {
                CallError::Status { code: 404, .. } => {
                    CliError::from(error).guided("see the IDs with `mcpproxy activity list -o json`")
                }
                _ => error.into(),
            })?;
            print(context.format, &found.activity, shown)
        }
        ActivityCommand::Watch { filter } => watch(context, client, &filter).await,
        ActivityCommand::Export { filter, format } => {
            let Some(format) = Format::of(&format) else {
                return Err(CliError::new("INVALID_INPUT", format!("unknown format `{format}` (use jsonl or csv)")));
            };
            export(client, &filter, format).await
        }
        ActivityCommand::Summary => {
            let summary: ActivitySummary = client.get("/api/v1/activity/summary").await?;
            // The Go core has no such totals.
            let tokens: TokenStats = client.get("/api/v1/stats/tokens").await.unwrap_or_default();
            let summary = Summary {
                summary,
                today: tokens.savings.today,
                this_month: tokens.savings.this_month,
            };
            print(context.format, &summary, totals)
        }
        ActivityCommand::Usage { window } => {
            let path = format!("/api/v1/activity/usage?window={}", path_segment(&window));
            let usage: ActivityUsage = client.get(&path).await?;
            print(context.format, &usage, used)
        }
        ActivityCommand::Purge { yes } => {
            if !yes && !confirm("Delete all recorded activity?", "--yes")? {
                return Ok(());
            }
            let purged: ActivityPurged = client.post("/api/v1/activity/purge", None).await?;
            report(context, &purged, |purged| format!("Deleted {} entries.", purged.removed))
        }
    }
}

/// Reads and writes page by page, so a log of any size needs little memory.
async fn export(client: &Client, filter: &ActivityFilter, format: Format) -> Result<(), CliError> {
    write_raw(format.heading())?;
    let mut before = String::new();
    loop {
        let path = format!("/api/v1/activity?exclude_total=true&limit=1000{}{before}", filter.query());
        let page: ActivityList = client.get(&path).await?;
        for record in &page.activities {
            write_raw(&format.line(record))?;
        }
        match page.activities.last() {
            Some(last) => before = format!("&before={}", path_segment(&last.id)),
            None => return Ok(()),
        }
    }
}

async fn watch(context: &Context, client: &Client, filter: &ActivityFilter) -> Result<(), CliError> {
    let mut events = client.events().await?;
    while let Some(event) = events.next().await {
        if !event.name.starts_with("activity.") {
            continue;
        }
        let Ok(body) = serde_json::from_str::<EventBody<ActivityRecord>>(&event.data) else {
            continue;
        };
        if filter.matches(&body.payload) {
            print(context.format, &body.payload, line)?;
        }
    }
    Ok(())
}

/// The totals of all calls, and of today and this month.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(flatten)]
    summary: ActivitySummary,
    today: SavingsPeriod,
    this_month: SavingsPeriod,
}

fn totals(all: &Summary) -> String {
    let Summary {
        summary,
        today,
        this_month,
    } = all;
    let top: Vec<String> = summary.top_servers.iter().map(|one| format!("{} {}", one.name, one.count)).collect();
    pairs(&[
        ("Calls", summary.total_count.to_string()),
        ("Succeeded", summary.success_count.to_string()),
        ("Failed", summary.error_count.to_string()),
        ("Blocked", summary.blocked_count.to_string()),
        ("Calls today", format!("{} (this month {})", today.calls, this_month.calls)),
        ("Tokens saved today", format!("{} (this month {})", today.saved_tokens, this_month.saved_tokens)),
        ("Servers", if top.is_empty() { "none".to_owned() } else { top.join(", ") }),
    ])
}

fn used(usage: &ActivityUsage) -> String {
    let row = |tool: &crate::contract::api::ToolUsage| {
        vec![
            format!("{}:{}", tool.server, tool.tool),
            tool.calls.to_string(),
            tool.errors.to_string(),
            format!("{} ms", tool.p50_ms),
            format!("{} ms", tool.p95_ms),
            tool.total_req_tokens.to_string(),
            tool.total_resp_tokens.to_string(),
        ]
    };
    let headings = [
        "TOOL",
        "CALLS",
        "ERRORS",
        "MEDIAN",
        "95TH PERCENTILE",
        "TOKENS IN",
        "TOKENS OUT",
    ];
    rows(&headings, usage.tools.iter().map(row).collect(), "No calls in this period.")
}

fn when(record: &ActivityRecord) -> String {
    record.timestamp.get(..19).unwrap_or(&record.timestamp).replace('T', " ")
}

fn what(record: &ActivityRecord) -> String {
    match (record.server_name.as_str(), record.tool_name.as_str()) {
        ("", "") => record.kind.word().replace('_', " "),
        (server, "") => format!("{server} ({})", record.kind.word().replace('_', " ")),
        ("", tool) => tool.to_owned(),
        (server, tool) => format!("{server}:{tool}"),
    }
}

fn remark(record: &ActivityRecord) -> String {
    let sensitive = record.has_sensitive_data.then(|| format!("sensitive: {}", record.detection_types.join(", ")));
    let details = record.metadata.as_ref().map(ToString::to_string);
    let parts = [record.error_message.clone(), sensitive, details];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn line(record: &ActivityRecord) -> String {
    format!("{}  {}  {}  {} ms  {}", when(record), what(record), record.status, record.duration_ms, remark(record))
}

fn shown(record: &ActivityRecord) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| format!("{bytes} bytes")).unwrap_or_default();
    let found = record.detections.iter().map(|one| format!("{} in {} ({}×)", one.rule, one.place, one.count));
    let stored = record.arguments.as_ref().map(ToString::to_string);
    let all = [
        ("Time (UTC)", when(record)),
        ("What", what(record)),
        ("Result", record.status.to_string()),
        ("Error", text(&record.error_message)),
        ("Duration", format!("{} ms", record.duration_ms)),
        ("Client", text(&record.client_name)),
        ("Session", text(&record.session_id)),
        ("Profile", text(&record.profile)),
        ("Intent", record.intent.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("Arguments", bytes(record.request_bytes)),
        ("Answer", bytes(record.response_bytes)),
        ("Tokens in", number(record.request_tokens)),
        ("Tokens out", number(record.response_tokens)),
        ("Tokens saved", record.saved_tokens.map(|tokens| tokens.to_string()).unwrap_or_default()),
        ("Sensitive", found.collect::<Vec<_>>().join(", ")),
        ("Details", record.metadata.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("Stored arguments", stored.unwrap_or_default()),
        ("Stored answer", text(&record.response)),
    ];
    let given: Vec<(&str, String)> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    pairs(&given)
}

fn listed(calls: &[ActivityRecord], empty: &str) -> String {
    let row = |call: &ActivityRecord| {
        vec![
            when(call),
            what(call),
            call.status.to_string(),
            format!("{} ms", call.duration_ms),
            remark(call),
        ]
    };
    rows(&["TIME (UTC)", "TOOL", "STATUS", "DURATION", "DETAILS"], calls.iter().map(row).collect(), empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_time_or_how_long_ago_it_was() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let read = |text: &str| moment_before(now, text).map(|time| time.to_string());
        for (text, expected) in [
            ("30m", "2026-11-30T11:30:00Z"),
            ("2h", "2026-11-30T10:00:00Z"),
            ("7d", "2026-11-23T12:00:00Z"),
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in ["yesterday", "", "d", "-2h", "9999999999999999d", "99999999d"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
