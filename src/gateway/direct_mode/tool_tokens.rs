//! Counts the tokens of lists of tools.

use std::collections::BTreeMap;

use rmcp::model::Tool;

use crate::catalog::search_index::Entry;
use crate::contract::tokens::estimate;
use crate::gateway::direct_mode::qualified_name::offered;
use crate::gateway::direct_mode::strict_schema;

/// Returns the tokens of a tool's definition.
pub fn tokens_of(tool: &Tool) -> u64 {
    serde_json::to_string(tool).map_or(0, |text| estimate(&text))
}

/// Returns the tokens of each server's tools, as `/mcp/all` lists them.
pub fn by_server(entries: &[Entry], is_server: impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in entries {
        let mut listed = entry.tool.clone();
        listed.name = offered(&entry.server, &entry.tool.name, &is_server).into();
        strict_schema::repair(&mut listed);
        *found.entry(entry.server.clone()).or_default() += tokens_of(&listed);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_count_under_the_names_that_clients_see() {
        let entry = |server: &str, name: &str| Entry {
            server: server.to_owned(),
            tool: Tool::new(name.to_owned(), "Says a word", json!({"type": "object"}).as_object().unwrap().clone()),
        };
        let entries = [entry("a", "one"), entry("a", "two"), entry("b", "one")];
        let found = by_server(&entries, |name| matches!(name, "a" | "b"));
        let mut listed = entries[2].tool.clone();
        listed.name = "b__one".into();
        // Clients receive the repaired schema.
        strict_schema::repair(&mut listed);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found["b"], tokens_of(&listed));
        assert!(found["a"] > 20 && found["a"] < 60, "{found:?}");
    }
}
