//! `mcpproxy scan`: tools that look like attacks.

use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::client::{CallError, path_segment};
use crate::contract::scan::{ScanReport, ScannedTool, Severity};

pub async fn scan(context: &Context, link: &CoreLink, server: Option<String>) -> Result<(), CliError> {
    let client = link.require()?;
    let path = match &server {
        Some(server) => format!("/api/v1/scan?server={}", path_segment(server)),
        None => "/api/v1/scan".to_owned(),
    };
    let report: ScanReport = match client.get(&path).await {
        Err(CallError::Status { code: 404, .. }) if !client.is_ours().await? => {
            return Err(CliError::new(
                "OPERATION_FAILED",
                "could not scan: the Go core is running, and it has no such scan",
            )
            .guided("see the tools with `mcpproxy upstream inspect NAME`"));
        }
        found => found?,
    };
    print(context.format, &report, text)
}

fn text(report: &ScanReport) -> String {
    let tools = report.tools.iter().map(of_tool);
    let unread = report.without_tools.iter().map(|server| format!("{server} has not listed its tools yet."));
    let dangers = report.tools.iter().filter(|tool| tool.findings.iter().any(|one| one.severity == Severity::Danger));
    let total = format!("{} tools scanned, {} look like an attack.", report.scanned, dangers.count());
    tools.chain(unread).chain([total]).collect::<Vec<_>>().join("\n")
}

fn of_tool(tool: &ScannedTool) -> String {
    let mut text = format!("{}:{} ({})\n", tool.server, tool.tool, tool.state);
    for finding in &tool.findings {
        let severity = match finding.severity {
            Severity::Danger => "DANGER",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        text.push_str(&format!("  {severity}  {} in {}\n", finding.rule, finding.location));
        text.push_str(&format!("    {}\n    “{}”\n", finding.reason, finding.quote));
    }
    text
}
