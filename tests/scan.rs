//! Runs the scanner on published attacks (reworded) and on tools of real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail where it stands")]

use mcpproxy::scan::{NeighbourTool, Neighbours, Severity, scan_tool, worst};
use serde_json::Value;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tool_of(server: &str, tool: &Value) -> NeighbourTool {
    let text = |key: &str| tool[key].as_str().unwrap_or_default().to_owned();
    NeighbourTool {
        server: server.to_owned(),
        name: text("name"),
        description: text("description"),
    }
}

/// Whether a tool of a new server is shown in red.
fn is_red(entry: &Value) -> bool {
    let peers = entry["peers"].as_array().into_iter().flatten();
    let peers = peers.map(|peer| tool_of(peer["server"].as_str().unwrap(), &peer["tool"]));
    let neighbours = Neighbours::of(peers.chain([tool_of("new", &entry["tool"])]));
    worst(&scan_tool("new", &entry["tool"], &neighbours)) == Some(Severity::Danger)
}

#[test]
fn nine_in_ten_published_attacks_are_red() {
    let attacks = lines(include_str!("data/scan/attacks.jsonl"));
    let missed: Vec<_> =
        attacks.iter().filter(|attack| !is_red(attack)).map(|attack| attack["id"].to_string()).collect();
    assert!(attacks.len() >= 100, "{} attacks", attacks.len());
    assert!(missed.len() * 10 <= attacks.len(), "{} of {} missed: {missed:?}", missed.len(), attacks.len());
}

#[test]
fn at_most_one_in_a_hundred_honest_tools_is_red() {
    let honest = lines(include_str!("data/scan/honest.jsonl"));
    let red: Vec<_> = honest.iter().filter(|entry| is_red(entry)).map(|entry| entry["id"].to_string()).collect();
    assert!(honest.len() >= 200, "{} tools", honest.len());
    assert!(red.len() * 100 <= honest.len(), "{} of {} are red: {red:?}", red.len(), honest.len());
}

#[test]
fn the_documentation_names_every_rule_with_its_severity() {
    let page = include_str!("../docs/scan-rules.md");
    for rule in mcpproxy::scan::rules() {
        let severity = format!("{:?}", rule.severity).to_lowercase();
        let row = format!("| `{}` | {severity} |", rule.id);
        assert!(page.contains(&row), "docs/scan-rules.md lacks {row}");
    }
}
