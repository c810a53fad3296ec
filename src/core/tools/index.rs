//! The tools of all connected servers, found by words (BM25).

use bm25::{Document, SearchEngine, SearchEngineBuilder};
use rmcp::model::Tool;

use super::words::Words;
use crate::core::upstream::Snapshot;

/// A searchable set of tools; rebuilt whole when a server's tools change.
pub struct ToolIndex {
    entries: Vec<Entry>,
    engine: Option<SearchEngine<u32, u32, Words>>,
}

/// One tool of one server.
#[derive(Debug, Clone)]
pub struct Entry {
    pub server: String,
    pub tool: Tool,
}

/// A tool that was found, and how well it fits.
pub struct Found<'a> {
    pub entry: &'a Entry,
    pub score: f32,
}

/// Most tools one search returns.
pub const LARGEST_LIMIT: usize = 100;

impl ToolIndex {
    /// An index without tools.
    pub fn empty() -> ToolIndex {
        ToolIndex {
            entries: Vec::new(),
            engine: None,
        }
    }

    /// The tools that may be shown and called now.
    pub fn of(servers: &[Snapshot]) -> ToolIndex {
        let mut entries = Vec::new();
        for server in servers {
            entries.extend(server.tools().iter().map(|tool| Entry {
                server: server.config.name.clone(),
                tool: tool.clone(),
            }));
        }
        if entries.is_empty() {
            return ToolIndex::empty();
        }
        let documents: Vec<Document<u32>> =
            (0_u32..).zip(&entries).map(|(id, entry)| Document::new(id, searched_text(entry))).collect();
        let engine = SearchEngineBuilder::with_tokenizer_and_documents(Words::english(), documents).build();
        ToolIndex {
            entries,
            engine: Some(engine),
        }
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The best tools for a query: best first, then by name.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Found<'_>> {
        let Some(engine) = &self.engine else { return Vec::new() };
        let mut found: Vec<Found<'_>> = engine
            .search(query, None)
            .into_iter()
            .filter_map(|result| {
                let entry = self.entries.get(usize::try_from(result.document.id).ok()?)?;
                Some(Found {
                    entry,
                    score: result.score,
                })
            })
            .collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entry.tool.name.cmp(&b.entry.tool.name)));
        found.truncate(limit.clamp(1, LARGEST_LIMIT));
        found
    }
}

/// Name and server count twice: they say what a tool is for more tightly than its description.
fn searched_text(entry: &Entry) -> String {
    let name = &entry.tool.name;
    let mut text = format!("{} {name} {name}", entry.server);
    for part in [entry.tool.title.as_deref(), entry.tool.description.as_deref()].into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    if let Some(properties) = entry.tool.input_schema.get("properties").and_then(serde_json::Value::as_object) {
        for (parameter, schema) in properties {
            text.push(' ');
            text.push_str(parameter);
            if let Some(description) = schema.get("description").and_then(serde_json::Value::as_str) {
                text.push(' ');
                text.push_str(description);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::config::ServerConfig;
    use crate::core::tools::tool_id;
    use crate::core::upstream::Phase;

    fn server(name: &str, phase: Phase) -> Snapshot {
        let config = ServerConfig {
            name: name.into(),
            enabled: true,
            ..ServerConfig::default()
        };
        Snapshot {
            config: Arc::new(config),
            phase,
            held: Arc::default(),
            reconnects: 0,
            retries: 0,
            identity: None,
        }
    }

    fn tools(named: &[(&'static str, &'static str)]) -> Phase {
        let tool = |&(name, text)| Tool::new(name, text, serde_json::Map::new());
        Phase::Connected(Arc::new(named.iter().map(tool).collect()))
    }

    #[test]
    fn the_tool_that_is_meant_comes_first() {
        let index = ToolIndex::of(&[
            server(
                "git",
                tools(&[
                    ("createPullRequest", "Opens a pull request"),
                    ("list_commits", "Lists commits"),
                ]),
            ),
            server("weather", tools(&[("get_forecast", "Weather for a place")])),
        ]);
        let ids = |query| {
            index
                .search(query, 5)
                .iter()
                .map(|found| tool_id::join(&found.entry.server, &found.entry.tool.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("opening pull requests")[0], "git:createPullRequest");
        assert_eq!(ids("what will the weather be"), ["weather:get_forecast"]);
        assert!(ids("zebra").is_empty());
        assert!(ids("").is_empty());
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn a_server_that_waits_for_approval_shows_nothing() {
        let index = ToolIndex::of(&[server("a", Phase::Quarantined), server("b", Phase::Failed("x".into()))]);
        assert_eq!(index.len(), 0);
        assert!(index.search("a", 5).is_empty());
    }
}
