//! Measures the cost and quality of the search: `cargo bench --no-default-features --bench retrieve`.

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![allow(clippy::indexing_slicing, reason = "same")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bm25::{Document, SearchEngineBuilder, Tokenizer};
use mcpproxy::catalog::search_index::{Entry, ToolIndex};
use mcpproxy::catalog::tool_id;
use serde::Deserialize;

/// Names the folder of a corpus that is not in `benches/corpus`.
const FOLDER: &str = "MCPPROXY_BENCH_CORPUS";

/// Counts the allocated bytes.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: passes every request unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[derive(Deserialize)]
struct Query {
    query: String,
    relevant: HashMap<String, u32>,
}

struct Corpus {
    tools: Vec<Entry>,
    queries: Vec<Query>,
}

impl Corpus {
    fn read(folder: &Path, name: &str) -> Option<Corpus> {
        let read = |kind: &str| std::fs::read_to_string(folder.join(format!("{name}.{kind}"))).ok();
        let queries = read("queries.jsonl")?;
        Some(Corpus {
            tools: serde_json::from_str(&read("tools.json")?).unwrap(),
            queries: queries.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        })
    }

    fn index(&self) -> ToolIndex {
        ToolIndex::new(self.tools.clone())
    }

    /// Returns recall@5 and mean reciprocal rank of a search that returns the IDs of its tools, best first.
    fn quality<'a>(queries: impl IntoIterator<Item = &'a Query>, search: impl Fn(&str) -> Vec<String>) -> (f64, f64) {
        let (mut recall, mut rank, mut count) = (0.0, 0.0, 0.0);
        for query in queries {
            let found = search(&query.query);
            let relevant = |id: &&String| query.relevant.contains_key(*id);
            recall += found.iter().take(5).filter(relevant).count() as f64 / query.relevant.len() as f64;
            rank += found.iter().position(|id| relevant(&id)).map_or(0.0, |at| 1.0 / (at + 1) as f64);
            count += 1.0;
        }
        (recall / count, rank / count)
    }
}

fn ids(index: &ToolIndex, query: &str, limit: usize) -> Vec<String> {
    index
        .search(query, limit)
        .iter()
        .map(|found| tool_id::join(&found.entry.server, &found.entry.tool.name))
        .collect()
}

/// Plain BM25: one field, unchanged words, the crate's default constants.
struct Plain;

impl Tokenizer for Plain {
    fn tokenize(&self, text: &str) -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    }
}

fn plain(corpus: &Corpus) -> impl Fn(&str) -> Vec<String> {
    let text = |entry: &Entry| {
        let Entry { server, tool } = entry;
        let description = tool.description.as_deref().unwrap_or_default();
        let schema = serde_json::to_string(&tool.input_schema).unwrap();
        Document::new(tool_id::join(server, &tool.name), format!("{server} {} {description} {schema}", tool.name))
    };
    let documents: Vec<_> = corpus.tools.iter().map(text).collect();
    let engine = SearchEngineBuilder::<String, u32, Plain>::with_tokenizer_and_documents(Plain, documents).build();
    move |query| engine.search(query, 100).into_iter().map(|found| found.document.id).collect()
}

/// Returns this many tools: first the corpus, then tools with the name, description and parameters of different tools.
fn permuted(corpus: &Corpus, count: usize) -> Vec<Entry> {
    let tools = &corpus.tools;
    let of = |at: usize| &tools[at % tools.len()];
    let one = |at: usize| {
        let (round, mut entry) = (at / tools.len(), of(at).clone());
        if round > 0 {
            let name = &of(at + round * 3).tool.name;
            entry.tool.name = format!("{}_{name}", entry.tool.name).into();
            entry.tool.description.clone_from(&of(at + round * 7).tool.description);
            entry.tool.input_schema.clone_from(&of(at + round * 13).tool.input_schema);
            entry.server = format!("{}-{round}", entry.server);
        }
        entry
    };
    (0..count).map(one).collect()
}

fn print_cost(corpus: &Corpus) {
    println!("{:>8} {:>12} {:>12} {:>12} {:>12}", "tools", "build", "memory", "search p50", "p99");
    for count in [10, 1_000, 10_000, 100_000] {
        let tools = permuted(corpus, count);
        let (before, start) = (IN_USE.load(Ordering::Relaxed), Instant::now());
        let index = ToolIndex::new(tools);
        let (build, memory) = (start.elapsed(), IN_USE.load(Ordering::Relaxed) - before);
        let runs = if count > 10_000 { 500 } else { 5_000 };
        let mut times: Vec<Duration> = corpus
            .queries
            .iter()
            .cycle()
            .take(runs)
            .map(|query| {
                let start = Instant::now();
                black_box(index.search(&query.query, 15));
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |part: usize| format!("{:.1?}", times[(times.len() - 1) * part / 100]);
        let memory = format!("{:.1} MB", memory as f64 / 1e6);
        println!("{count:>8} {:>12} {memory:>12} {:>12} {:>12}", format!("{build:.1?}"), at(50), at(99));
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark has no other way to be told")]
fn folder() -> Option<OsString> {
    std::env::var_os(FOLDER)
}

fn main() {
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/corpus"));
    let golden = Corpus::read(&own, "golden45").unwrap();
    let live = folder().and_then(|folder| Corpus::read(Path::new(&folder), "livemcpbench"));

    println!("{:<46} {:>9} {:>6}   {:>9} {:>6}", "recall@5 and MRR", "plain", "", "mcpproxy", "");
    let row = |name: &str, queries: &[&Query], plain: &dyn Fn(&str) -> Vec<String>, index: &ToolIndex| {
        let (plain_recall, plain_rank) = Corpus::quality(queries.iter().copied(), plain);
        let (recall, rank) = Corpus::quality(queries.iter().copied(), |query| ids(index, query, 100));
        println!("{name:<46} {plain_recall:>9.3} {plain_rank:>6.3}   {recall:>9.3} {rank:>6.3}");
    };
    for (name, corpus) in [("golden45", Some(&golden)), ("livemcpbench", live.as_ref())] {
        let Some(corpus) = corpus else {
            println!("{name:<46} not measured: {FOLDER} names no folder with it");
            continue;
        };
        let (plain, index) = (plain(corpus), corpus.index());
        row(name, &corpus.queries.iter().collect::<Vec<_>>(), &plain, &index);
        for (half, first) in [("first half: every other query", 0), ("second half", 1)] {
            row(
                &format!("  {half}"),
                &corpus.queries.iter().skip(first).step_by(2).collect::<Vec<_>>(),
                &plain,
                &index,
            );
        }
    }
    if let Some(live) = live {
        let id = |entry: &Entry| tool_id::join(&entry.server, &entry.tool.name);
        let own: HashSet<String> = golden.tools.iter().map(id).collect();
        let mixed = Corpus {
            tools: live.tools.into_iter().filter(|entry| !own.contains(&id(entry))).chain(golden.tools).collect(),
            queries: golden.queries,
        };
        let all: Vec<_> = mixed.queries.iter().collect();
        row("golden45 among the tools of livemcpbench", &all, &plain(&mixed), &mixed.index());
        println!();
        print_cost(&Corpus {
            queries: live.queries,
            ..mixed
        });
    } else {
        println!();
        print_cost(&golden);
    }
}
