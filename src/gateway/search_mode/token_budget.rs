//! Checks what the search costs a client in tokens, at 4 bytes each. `docs/search-quality.md` has exact counts.

use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::catalog::search_index::{Entry, ToolIndex};
use crate::catalog::unavailable::UnavailableTools;
use crate::config::Config;
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
    answer.value.to_string().len() / BYTES_PER_TOKEN
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
    assert!(mean(&results) <= 800, "on average {}", mean(&results));
    // Long names and descriptions in other scripts have more bytes per token.
    assert!(results.iter().max().unwrap() <= &1100, "at most {}", results.iter().max().unwrap());
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
