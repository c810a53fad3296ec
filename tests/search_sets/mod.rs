//! The labelled data sets of the tool search, and the measures over them. Used by a test and a benchmark.

#![allow(dead_code, reason = "the test and the benchmark each use a part")]
#![allow(clippy::unwrap_used, reason = "a data set that cannot be read should stop the run")]

use std::collections::HashMap;
use std::path::PathBuf;

use mcpproxy::catalog::search_index::{Entry, ToolIndex};
use mcpproxy::catalog::tool_id;
use serde::Deserialize;

/// The sets on which weights are chosen.
pub const DEVELOPMENT: [&str; 5] = ["golden45", "livemcpbench", "toolsearchmcp", "metatool", "sealtools"];

/// A query and the relevant tools.
#[derive(Clone, Deserialize)]
pub struct Query {
    pub query: String,
    pub relevant: HashMap<String, u32>,
    #[serde(default)]
    pub source: String,
}

impl Query {
    /// Returns the same query with another text.
    pub fn with(&self, query: String) -> Query {
        Query { query, ..self.clone() }
    }
}

/// A data set.
pub struct Set {
    pub name: String,
    pub tools: Vec<Entry>,
    pub queries: Vec<Query>,
}

impl Set {
    /// Reads a data set, if it exists.
    pub fn read(name: &str) -> Option<Set> {
        Set::of(name, name)
    }

    /// Reads the queries of one data set and the tools of another.
    pub fn of(queries: &str, tools: &str) -> Option<Set> {
        let read = |file: String| std::fs::read_to_string(folder().join(file)).ok();
        let lines = read(format!("{queries}.queries.jsonl"))?;
        let tools = match read(format!("{tools}.tools.jsonl")) {
            Some(lines) => lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            None => serde_json::from_str(&read(format!("{tools}.tools.json"))?).unwrap(),
        };
        Some(Set {
            name: queries.to_owned(),
            tools,
            queries: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        })
    }
}

/// Returns the existing development sets.
pub fn development() -> Vec<Set> {
    DEVELOPMENT.iter().filter_map(|name| Set::read(name)).collect()
}

#[allow(clippy::disallowed_methods, reason = "a benchmark has no other way to be told")]
fn folder() -> PathBuf {
    let given = std::env::var_os("MCPPROXY_BENCH_CORPUS").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/search")))
}

/// The quality of the result for one query.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    pub recall5: f64,
    pub recall10: f64,
    /// Reciprocal rank of the first relevant tool.
    pub rank: f64,
}

impl Quality {
    /// The measure by which weights are chosen.
    pub fn objective(&self) -> f64 {
        (self.recall5 + self.recall10 + self.rank) / 3.0
    }
}

/// Measures all queries.
pub fn measure(queries: &[Query], index: &ToolIndex) -> Vec<Quality> {
    let one = |query: &Query| {
        let found = index.search(&query.query, 15);
        let is_relevant: Vec<bool> = found
            .iter()
            .map(|found| query.relevant.contains_key(&tool_id::join(&found.entry.server, &found.entry.tool.name)))
            .collect();
        let within =
            |most: usize| is_relevant.iter().take(most).filter(|is| **is).count() as f64 / query.relevant.len() as f64;
        Quality {
            recall5: within(5),
            recall10: within(10),
            rank: is_relevant.iter().position(|is| *is).map_or(0.0, |at| 1.0 / (at + 1) as f64),
        }
    };
    queries.iter().map(one).collect()
}

/// Returns the mean of one measure.
pub fn mean(quality: &[Quality], of: impl Fn(&Quality) -> f64) -> f64 {
    quality.iter().map(of).sum::<f64>() / quality.len() as f64
}

/// Returns the 95 % bootstrap interval of a mean; deterministic.
pub fn interval(values: &[f64]) -> (f64, f64) {
    const ROUNDS: usize = 2000;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pick = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values.get((state % values.len() as u64) as usize).copied().unwrap_or_default()
    };
    let mut means: Vec<f64> =
        (0..ROUNDS).map(|_| (0..values.len()).map(|_| pick()).sum::<f64>() / values.len() as f64).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means.get((share * ROUNDS as f64) as usize).copied().unwrap_or_default();
    (at(0.025), at(0.975))
}
