//! Checks what the search costs a client in tokens, as estimated. `docs/search-quality.md` has exact counts.

use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::catalog::search_index::{Entry, ToolIndex};
use crate::catalog::unavailable::UnavailableTools;
use crate::config::Config;
use crate::contract::tokens::estimate;
use crate::gateway::search_mode::definitions::definitions;
use crate::gateway::search_mode::few_tools::BYTES_PER_TOKEN;
use crate::gateway::search_mode::retrieve_tools::{Defaults, Detail, Params, answer};

/// The data sets with the definitions of real servers: their tools and queries.
const SETS: [(&str, &str, &str); 3] = [
    (
        "golden45",
        include_str!("../../../tests/data/search/golden45.tools.jsonl"),
        include_str!("../../../tests/data/search/golden45.queries.jsonl"),
    ),
    (
        "livemcpbench",
        include_str!("../../../tests/data/search/livemcpbench.tools.jsonl"),
        include_str!("../../../tests/data/search/livemcpbench.queries.jsonl"),
    ),
    (
        "toolsearchmcp",
        include_str!("../../../tests/data/search/toolsearchmcp.tools.jsonl"),
        include_str!("../../../tests/data/search/toolsearchmcp.queries.jsonl"),
    ),
];

/// Tokens of a call: the tool's name and a few arguments.
const CALL: usize = 60;

/// Estimates the tokens of these definitions, as a client would receive them directly from the server.
fn tokens(tools: &[Tool]) -> usize {
    let bytes = tools.iter().map(|tool| serde_json::to_string(tool).map_or(0, |text| text.len()));
    bytes.sum::<usize>() / BYTES_PER_TOKEN
}

fn usual() -> Config {
    Config::parse(std::path::Path::new("c"), "{}").unwrap()
}

fn entries(lines: &str) -> Vec<Entry> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn queries(lines: &str) -> Vec<String> {
    let query = |line| serde_json::from_str::<Value>(line).unwrap()["query"].as_str().unwrap().to_owned();
    lines.lines().map(query).collect()
}

/// Returns the tokens of the result of a default search.
fn tokens_of_result(query: &str, index: &ToolIndex) -> usize {
    let config = usual();
    let defaults = Defaults {
        limit: config.tools_limit,
        detail: Detail::of_setting(config.tool_response_mode.as_deref()),
        room: config.tool_response_limit,
    };
    let params = Params::read(json!({"query": query}).as_object().unwrap(), defaults).unwrap();
    let answer = answer(&params, index, &UnavailableTools::none(), |_| Vec::new());
    estimate(&answer.value.to_string()) as usize
}

fn mean(values: &[usize]) -> usize {
    values.iter().sum::<usize>() / values.len()
}

#[test]
fn the_list_of_tools_takes_at_most_1100_tokens() {
    let listed = tokens(&definitions(usual().tools_limit));
    assert!(listed <= 1100, "{listed}");
}

#[test]
fn a_result_takes_at_most_1000_tokens_with_thousands_of_tools() {
    let index = ToolIndex::new(SETS.iter().flat_map(|(_, tools, _)| entries(tools)).collect());
    let asked: Vec<String> = SETS.iter().flat_map(|(_, _, asked)| queries(asked)).collect();
    let results: Vec<usize> = asked.iter().map(|query| tokens_of_result(query, &index)).collect();
    assert!(mean(&results) <= 700, "on average {}", mean(&results));
    assert!(results.iter().max().unwrap() <= &1000, "at most {}", results.iter().max().unwrap());
}

#[test]
fn a_result_takes_at_most_1000_tokens_with_odd_tools() {
    let parameters = |required: bool, schema: Value| {
        let named: serde_json::Map<String, Value> =
            (0..40).map(|n| (format!("a_parameter_with_a_long_name_{n}"), schema.clone())).collect();
        let names: Vec<String> = if required { named.keys().cloned().collect() } else { Vec::new() };
        json!({"type": "object", "properties": named, "required": names})
    };
    let deep =
        (0..30).rev().fold(json!({"type": "string"}), |inner, n| json!({"properties": {format!("p{n}"): inner}}));
    let choices: Vec<String> = (0..8).map(|n| format!("v{n}A9x")).collect();
    let usual = json!({"properties": {"id": {"type": "string"}}, "required": ["id"]});
    for (what, description, schema) in [
        ("required parameters", "Creates an invoice".to_owned(), parameters(true, json!({"type": "string"}))),
        ("choices", "Creates an invoice".to_owned(), parameters(true, json!({"type": "string", "enum": choices}))),
        ("long defaults", String::new(), parameters(false, json!({"type": "string", "default": "0x1f".repeat(5)}))),
        ("deep schema", String::new(), deep),
        ("definitions", String::new(), json!({"$defs": {"a": parameters(false, json!({}))}, "$ref": "#/$defs/a"})),
        ("no schema", String::new(), json!({})),
        ("10 kB of text", "Creates an invoice and more ".repeat(400), usual.clone()),
        ("Chinese", "创建和管理各种类型的业务单据包括发票合同订单".repeat(9), usual.clone()),
        ("Amharic", "የተለያዩ የንግድ ሰነዶችን ለመፍጠር ያገለግላል ".repeat(9), usual.clone()),
        ("emoji", "🦄🏳️‍🌈".repeat(99), usual.clone()),
        ("no words", "9f3Ac0".repeat(99), usual),
    ] {
        let tool = |n: usize| {
            Tool::new(format!("create_invoice_{n}"), description.clone(), schema.as_object().cloned().unwrap())
        };
        let entry = |n: usize| Entry {
            server: "odd".to_owned(),
            tool: tool(n),
        };
        let result = tokens_of_result("create an invoice", &ToolIndex::new((0..50).map(entry).collect()));
        assert!(result <= 1000, "{what}: {result}");
    }
}

#[test]
fn from_thirty_tools_on_a_search_and_a_call_cost_less_than_all_tools() {
    const TOOLS: usize = 30;
    let most_direct = usual().direct_up_to_tokens;
    let listed = tokens(&definitions(usual().tools_limit));
    for (name, tools, asked) in SETS {
        let (tools, asked) = (entries(tools), queries(asked));
        let (mut dearer, mut all, mut through_search) = (0, Vec::new(), Vec::new());
        for (round, some) in tools.chunks_exact(TOOLS).enumerate() {
            let direct = tokens(&some.iter().map(|entry| entry.tool.clone()).collect::<Vec<Tool>>());
            let index = ToolIndex::new(some.to_vec());
            let asked = asked.iter().cycle().skip(7 * round).take(10);
            let results: Vec<usize> = asked.map(|query| tokens_of_result(query, &index)).collect();
            let cost = if direct <= most_direct { direct } else { listed + mean(&results) + CALL };
            dearer += usize::from(cost > direct);
            all.push(direct);
            through_search.push(cost);
        }
        assert!(10 * mean(&through_search) <= 7 * mean(&all), "{name}: {through_search:?} instead of {all:?}");
        // The data sets lack the types of parameters, so the real difference is larger.
        assert!(10 * dearer <= all.len(), "{name}: {through_search:?} instead of {all:?}");
    }
}
