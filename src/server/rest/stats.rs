//! `/api/v1/stats/tokens`: the tokens that the search saves a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::config::profiles::ProfileScope;
use crate::contract::api::{SearchCounts, TokenSavings, TokenStats};
use crate::server::rest::response::ok;
use crate::server::state::App;

/// `GET /api/v1/stats/tokens`
pub(super) async fn token_stats(State(app): State<Arc<App>>) -> Response {
    let servers = app.upstreams.snapshots();
    let (proxy, log) = (app.proxy.clone(), app.activity.clone());
    // Counting thousands of tools takes too long for this thread, and the log waits for the disk.
    let counted = tokio::task::spawn_blocking(move || (proxy.tool_tokens(&ProfileScope::default()), log.savings()));
    let (listed, savings) = counted.await.unwrap_or_default();
    let mut sizes: BTreeMap<String, u64> = servers.iter().map(|server| (server.config.name.clone(), 0)).collect();
    sizes.extend(listed);
    ok(stats(sizes, &app.proxy.search_counts(), savings))
}

fn stats(sizes: BTreeMap<String, u64>, searches: &SearchCounts, savings: TokenSavings) -> TokenStats {
    let total: u64 = sizes.values().sum();
    let average = searches.result_tokens.checked_div(searches.searches).unwrap_or_default();
    let saved = if searches.searches == 0 { 0 } else { total.saturating_sub(average) };
    TokenStats {
        total_server_tool_list_size: total,
        average_query_result_size: average,
        saved_tokens: saved,
        saved_tokens_percentage: if total == 0 { 0.0 } else { 100.0 * saved as f64 / total as f64 },
        per_server_tool_list_sizes: sizes,
        savings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_search_nothing_is_saved() {
        let sizes = BTreeMap::from([("a".to_owned(), 300), ("b".to_owned(), 100)]);
        let stats = |sizes, counts: &SearchCounts| stats(sizes, counts, TokenSavings::default());
        let none = stats(sizes.clone(), &SearchCounts::default());
        assert_eq!((none.total_server_tool_list_size, none.saved_tokens), (400, 0));
        let counts = SearchCounts {
            searches: 2,
            result_tokens: 200,
            ..SearchCounts::default()
        };
        let some = stats(sizes, &counts);
        assert_eq!((some.average_query_result_size, some.saved_tokens), (100, 300));
        assert!((some.saved_tokens_percentage - 75.0).abs() < f64::EPSILON);
        let longer = SearchCounts {
            searches: 1,
            result_tokens: 2_500,
            ..counts
        };
        assert_eq!(stats(BTreeMap::new(), &longer).saved_tokens_percentage, 0.0);
    }
}
