//! Lists, searches and calls the tools of all servers, for users and scripts. AI clients use MCP instead.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::catalog::call_variant::Intent;
use crate::catalog::search_index::Explanation;
use crate::contract::api::{AllTools, CallRequest, FoundTool, FoundTools, RankExplanation, WordExplanation};
use crate::contract::failure::FailureKind;
use crate::gateway::tool_answer::ToolAnswer;
use crate::server::rest::response::{failed, ok};
use crate::server::rest::{exact_json, views};
use crate::server::state::App;
use crate::upstream::health::ToolApproval;

/// Returns every tool of every connected server with its approval, including tools that need approval.
pub async fn list(State(app): State<Arc<App>>) -> Response {
    let tools = app.upstreams.snapshots().iter().flat_map(|server| views::server_tools(server).tools).collect();
    ok(AllTools {
        tools,
        stats: app.servers().stats,
    })
}

#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    limit: Option<usize>,
    /// Whether to explain each tool's rank.
    #[serde(default)]
    explain: bool,
}

/// Searches like `retrieve_tools`, but is not counted as a search of an AI client.
pub async fn search(State(app): State<Arc<App>>, Query(asked): Query<Search>) -> Response {
    if asked.q.trim().is_empty() {
        return failed(FailureKind::Invalid, "`q` is missing; describe in a few words what you want to do");
    }
    let limit = asked.limit.unwrap_or(app.config.current().tools_limit);
    let index = app.proxy.index();
    let found = index.search(&asked.q, limit);
    let results: Vec<FoundTool> = found
        .iter()
        .map(|found| FoundTool {
            score: found.score,
            tool: views::tool(&found.entry.server, ToolApproval::approved(&found.entry.tool)),
            call_with: Intent::recommended(found.entry.tool.annotations.as_ref()).tool().into(),
            explanation: asked
                .explain
                .then(|| index.explain(&asked.q, &found.entry.server, &found.entry.tool.name).map(explained))
                .flatten(),
        })
        .collect();
    ok(FoundTools {
        total: u32::try_from(results.len()).unwrap_or(u32::MAX),
        counts: asked.explain.then(|| app.proxy.search_counts()),
        query: asked.q,
        results,
    })
}

fn explained(found: Explanation) -> RankExplanation {
    let words = found.words.into_iter().map(|word| WordExplanation {
        matches: word.by.map(|(stem, relation)| relation.in_words(&stem)).unwrap_or_default(),
        word: word.word,
        adds: word.adds,
    });
    RankExplanation {
        words: words.collect(),
        share_of_name: found.of_name,
        share_of_query: found.coverage,
    }
}

/// Calls a tool like an AI client: `{"tool_name":"call_tool_read","arguments":{"name":"server:tool","args":{…}}}`. The
/// data of the response is the MCP result.
pub async fn call(State(app): State<Arc<App>>, body: exact_json::Body) -> Response {
    let Some(call) = exact_json::read::<CallRequest>(body) else {
        return failed(FailureKind::Invalid, "expected {\"tool_name\": \"call_tool_read\", \"arguments\": {…}}");
    };
    if Intent::of_tool(call.tool_name.word()).is_none() {
        let sentence = format!(
            "`{}` cannot be called here: expected call_tool_read, call_tool_write or call_tool_destructive",
            call.tool_name
        );
        return failed(FailureKind::Invalid, sentence);
    }
    match app.proxy.call(call.tool_name.word(), &call.arguments, None).await {
        Some(Ok(answer)) => match answer.to_exact_json() {
            Some(result) => ok(result),
            None => failed(FailureKind::Upstream, "the server needs input from the user, which REST cannot pass on"),
        },
        // The server's own JSON-RPC error.
        Some(Err(error)) => ok(ToolAnswer::of_error(&error).to_json()),
        None => failed(FailureKind::NotFound, "there is no such tool"),
    }
}
