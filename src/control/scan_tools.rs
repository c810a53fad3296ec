//! Scans the known tools of servers: approved, pending and disabled ones.

use serde::Serialize;
use serde_json::Value;

use crate::contract::review::Review;
use crate::contract::scan::{ScanReport, ScannedTool};
use crate::contract::words::ScannedState;
use crate::scan::{NeighbourTool, Neighbours, scan_tool};
use crate::upstream::snapshot::Snapshot;

/// Returns the findings in the tools of one server, or of all servers.
pub fn scan_tools(servers: &[Snapshot], only: Option<&str>) -> ScanReport {
    let all: Vec<(&Snapshot, Vec<Known>)> = servers.iter().map(|server| (server, tools_of(server))).collect();
    let neighbours = Neighbours::of(all.iter().flat_map(|(server, tools)| {
        tools.iter().map(|tool| NeighbourTool {
            server: server.config.name.clone(),
            name: tool.text("name").to_owned(),
            description: tool.text("description").to_owned(),
        })
    }));
    let mut report = ScanReport::default();
    for (server, tools) in all.iter().filter(|(server, _)| only.is_none_or(|only| only == server.config.name)) {
        let name = &server.config.name;
        if tools.is_empty() {
            report.without_tools.push(name.clone());
        }
        for tool in tools {
            report.scanned += 1;
            let findings = scan_tool(name, &tool.definition, &neighbours);
            if !findings.is_empty() {
                report.tools.push(ScannedTool {
                    server: name.clone(),
                    tool: tool.text("name").to_owned(),
                    state: tool.state.clone(),
                    findings,
                });
            }
        }
    }
    report
}

/// Adds the scanner's findings in the tools, prompts and templates of a server to its review.
pub fn add_findings(review: &mut Review, servers: &[Snapshot]) {
    let known = servers.iter().filter(|server| server.config.name != review.name);
    let others = known.flat_map(|server| {
        let name = &server.config.name;
        let pending = server.pending_tools().iter().map(|pending| &pending.tool);
        server.tools().iter().chain(pending).map(|tool| NeighbourTool {
            server: name.clone(),
            name: tool.name.to_string(),
            description: tool.description.as_deref().unwrap_or_default().to_owned(),
        })
    });
    let text =
        |definition: &Value, key: &str| definition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let own = review.tools.iter().map(|tool| NeighbourTool {
        server: review.name.clone(),
        name: tool.name.clone(),
        description: text(&tool.definition, "description"),
    });
    let neighbours = Neighbours::of(others.chain(own).collect::<Vec<_>>());
    for tool in &mut review.tools {
        tool.findings = scan_tool(&review.name, &tool.definition, &neighbours);
    }
    let alone = Neighbours::of(Vec::new());
    for offer in &mut review.offers {
        offer.findings = scan_tool(&review.name, &offer.definition, &alone);
    }
}

/// A tool with its server's definition.
struct Known {
    definition: Value,
    state: ScannedState,
}

impl Known {
    fn of(tool: &impl Serialize, state: ScannedState) -> Known {
        Known {
            definition: serde_json::to_value(tool).unwrap_or_default(),
            state,
        }
    }

    fn text(&self, key: &str) -> &str {
        self.definition.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

fn tools_of(server: &Snapshot) -> Vec<Known> {
    let approved = server.tools().iter().map(|tool| Known::of(tool, ScannedState::Approved));
    let pending = server.pending_tools().iter().map(|pending| Known::of(&pending.tool, ScannedState::Pending));
    let off = server.off.approved.iter().map(|tool| Known::of(tool, ScannedState::Disabled));
    let off_pending = server.off.pending.iter().map(|pending| Known::of(&pending.tool, ScannedState::Disabled));
    approved.chain(pending).chain(off).chain(off_pending).collect()
}
