//! Scans the tools of servers as they are known now: approved, pending and disabled ones.

use rmcp::model::Tool;

use crate::contract::scan::{ScanReport, ScannedTool};
use crate::scan::{NeighbourTool, Neighbours, scan_tool};
use crate::upstream::snapshot::Snapshot;

/// The findings in the tools of one server, or of all. A pure function.
pub fn scan_tools(servers: &[Snapshot], only: Option<&str>) -> ScanReport {
    let neighbours = Neighbours::of(servers.iter().flat_map(|server| {
        tools_of(server).map(|(tool, _)| NeighbourTool {
            server: server.config.name.clone(),
            name: tool.name.to_string(),
            description: tool.description.as_deref().unwrap_or_default().to_owned(),
        })
    }));
    let mut report = ScanReport::default();
    for server in servers.iter().filter(|server| only.is_none_or(|only| only == server.config.name)) {
        let name = &server.config.name;
        if tools_of(server).next().is_none() {
            report.without_tools.push(name.clone());
        }
        for (tool, state) in tools_of(server) {
            report.scanned += 1;
            let definition = serde_json::to_value(tool).unwrap_or_default();
            let findings = scan_tool(name, &definition, &neighbours);
            if !findings.is_empty() {
                report.tools.push(ScannedTool {
                    server: name.clone(),
                    tool: tool.name.to_string(),
                    state: state.to_owned(),
                    findings,
                });
            }
        }
    }
    report
}

/// The tools of a server, each with its state.
fn tools_of(server: &Snapshot) -> impl Iterator<Item = (&Tool, &'static str)> {
    let approved = server.tools().iter().map(|tool| (tool, "approved"));
    let pending = server.pending_tools().iter().map(|pending| (&pending.tool, "pending"));
    let off = server.off.approved.iter().chain(server.off.pending.iter().map(|pending| &pending.tool));
    approved.chain(pending).chain(off.map(|tool| (tool, "disabled")))
}
