//! The tools of all connected servers, found by words: BM25 over weighted fields (BM25F), whose numbers are worked out
//! when the tools change, so that a search only adds.

use std::collections::{BTreeMap, HashMap};

use rmcp::model::Tool;
use serde::Deserialize;
use serde_json::Value;

use crate::catalog::annotations::{Filter, Filters, Hints, SessionRisk, Withheld};
use crate::catalog::synonyms;
use crate::catalog::tokenizer::{Words, runs, split};
use crate::upstream::snapshot::Snapshot;

/// A searchable set of tools; rebuilt whole when a server's tools change.
pub struct ToolIndex {
    entries: Vec<Entry>,
    /// What is said of each, in the same order.
    hints: Vec<Hints>,
    risk: SessionRisk,
    /// In order, for words that are only begun.
    terms: BTreeMap<String, Term>,
    words: Words,
}

/// One tool of one server.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    pub server: String,
    #[serde(flatten)]
    pub tool: Tool,
}

/// A tool that was found, and how well it fits.
pub struct Found<'a> {
    pub entry: &'a Entry,
    pub score: f32,
}

/// What a search found.
pub struct Search<'a> {
    /// The best, best first.
    pub found: Vec<Found<'a>>,
    /// How many fit at all, those that the filters withheld too.
    pub matched: usize,
    /// How many each filter withheld, in the order of [`Filter::ALL`].
    pub withheld: [WithheldCount; Filter::ALL.len()],
}

/// How many tools one filter withheld.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WithheldCount {
    /// Their servers say nothing of what the filter is against.
    pub unsaid: usize,
    /// Their servers say so themselves.
    pub said: usize,
}

impl WithheldCount {
    /// All of them.
    pub fn total(self) -> usize {
        self.unsaid + self.said
    }
}

/// Why a tool stands where it does for a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub score: f32,
    /// Its place among all that fit, from 1; `None` when no word of the query leads to it.
    pub rank: Option<usize>,
    /// What each word of the query adds.
    pub words: Vec<(String, f32)>,
}

/// Where a word stands.
#[derive(Default)]
struct Term {
    /// The rarer, the more.
    weight: f32,
    postings: Vec<Posting>,
}

/// What a word says of one tool.
struct Posting {
    entry: u32,
    /// How much of the tool's text it is, without the word's own weight.
    share: f32,
    /// How much of the tool's name it is, from 0 to 1.
    of_name: f32,
}

/// Most tools one search returns.
pub const LARGEST_LIMIT: usize = 100;

/// Names say what a tool is for more tightly than its description, parameters less.
const FIELD_WEIGHTS: [f32; FIELDS] = [1.0, 3.0, 1.0, 0.5, 0.3];
const FIELDS: usize = 5;

/// The customary constants of BM25: how fast saying a word again stops to matter, and how much length matters.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// What another word for the same, or with the same beginning, is worth beside the word itself.
const SYNONYM: f32 = 0.6;
const SAME_START: f32 = 0.5;
const SHORTEST_START: usize = 4;

/// How much a tool gains when the query says its whole name.
const WHOLE_NAME: f32 = 0.6;

impl ToolIndex {
    /// An index without tools.
    pub fn empty() -> ToolIndex {
        ToolIndex::new(Vec::new())
    }

    /// The tools that may be shown and called now.
    pub(crate) fn of(servers: &[Snapshot]) -> ToolIndex {
        let of = |server: &Snapshot| {
            let name = server.config.name.clone();
            server.tools().to_vec().into_iter().map(move |tool| Entry {
                server: name.clone(),
                tool,
            })
        };
        ToolIndex::new(servers.iter().flat_map(of).collect())
    }

    /// An index of these tools.
    pub fn new(entries: Vec<Entry>) -> ToolIndex {
        let words = Words::english();
        let terms = weigh(&entries, &words);
        let hints: Vec<Hints> = entries.iter().map(|entry| Hints::of(entry.tool.annotations.as_ref())).collect();
        ToolIndex {
            risk: SessionRisk::of(&hints),
            entries,
            hints,
            terms,
            words,
        }
    }

    /// How many tools there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What all of them together could be misused for.
    pub(crate) fn risk(&self) -> SessionRisk {
        self.risk
    }

    /// Every tool.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The words of a query that are looked for.
    pub(crate) fn query_words(&self, query: &str) -> Vec<String> {
        self.words.of_query(query)
    }

    /// The best tools for a query: best first, then by name.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Found<'_>> {
        self.search_within(query, limit, Filters::default()).found
    }

    /// The best tools for a query that no filter is against.
    pub(crate) fn search_within(&self, query: &str, limit: usize, filters: Filters) -> Search<'_> {
        let (mut matched, mut withheld) = (0, [WithheldCount::default(); Filter::ALL.len()]);
        let mut found = Vec::new();
        for ((entry, hints), sum) in self.entries.iter().zip(&self.hints).zip(self.sums(query)) {
            if sum.score <= 0.0 {
                continue;
            }
            matched += 1;
            match filters.withhold(*hints) {
                None => found.push(Found {
                    entry,
                    score: sum.total(),
                }),
                Some(why) => note(&mut withheld, why),
            }
        }
        let better = |a: &Found<'_>, b: &Found<'_>| {
            b.score.total_cmp(&a.score).then_with(|| a.entry.tool.name.cmp(&b.entry.tool.name))
        };
        let limit = limit.clamp(1, LARGEST_LIMIT);
        if found.len() > limit {
            found.select_nth_unstable_by(limit, better);
            found.truncate(limit);
        }
        found.sort_by(better);
        Search {
            found,
            matched,
            withheld,
        }
    }

    /// Why a tool stands where it does; `None` when there is no such tool.
    pub(crate) fn explain(&self, query: &str, server: &str, tool: &str) -> Option<Explanation> {
        let at = self.entries.iter().position(|entry| entry.server == server && entry.tool.name == tool)?;
        let sums = self.sums(query);
        let score = sums.get(at)?.total();
        let words = self.words.of_query(query).into_iter().map(|word| {
            let said = self.meanings(&word).into_iter().filter_map(|(term, worth)| {
                let posting = term.postings.iter().find(|posting| posting.entry as usize == at)?;
                Some(worth * posting.share)
            });
            let most = said.fold(0.0, f32::max);
            (word, most)
        });
        Some(Explanation {
            score,
            rank: (score > 0.0).then(|| 1 + sums.iter().filter(|sum| sum.total() > score).count()),
            words: words.collect(),
        })
    }

    /// What the words of a query say of each tool.
    fn sums(&self, query: &str) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.entries.len()];
        let mut best = vec![Sum::default(); self.entries.len()];
        let mut touched = Vec::new();
        for word in self.words.of_query(query) {
            // Of a word and its synonyms, each tool is credited with the one that says most.
            for (term, worth) in self.meanings(&word) {
                for posting in &term.postings {
                    let Some(best) = best.get_mut(posting.entry as usize) else { continue };
                    if best.score == 0.0 {
                        touched.push(posting.entry);
                    }
                    best.score = best.score.max(worth * posting.share);
                    best.of_name = best.of_name.max(worth / term.weight * posting.of_name);
                }
            }
            for entry in touched.drain(..) {
                let Some((sum, best)) = sums.get_mut(entry as usize).zip(best.get_mut(entry as usize)) else {
                    continue;
                };
                sum.score += best.score;
                sum.of_name += best.of_name;
                *best = Sum::default();
            }
        }
        sums
    }

    /// The term of a word, its synonyms, and for an unknown word what begins alike; each with its worth.
    fn meanings(&self, word: &str) -> Vec<(&Term, f32)> {
        let own = self.terms.get(word);
        let mut meanings: Vec<(&Term, f32)> = own.map(|term| (term, term.weight)).into_iter().collect();
        // A rare synonym of a common word is no more telling than that word.
        let most = own.map_or(f32::INFINITY, |term| term.weight);
        let synonyms = synonyms::of(word).iter().filter_map(|synonym| self.terms.get(synonym));
        meanings.extend(synonyms.map(|term| (term, SYNONYM * term.weight.min(most))));
        if own.is_none() && word.chars().count() >= SHORTEST_START {
            let longer = self.terms.range(word.to_owned()..).take_while(|(term, _)| term.starts_with(word));
            let ends = word.char_indices().map(|(at, _)| at).skip(SHORTEST_START);
            let shorter = ends.filter_map(|end| self.terms.get(&word[..end]));
            meanings.extend(longer.map(|(_, term)| term).chain(shorter).map(|term| (term, SAME_START * term.weight)));
        }
        meanings
    }
}

/// What one tool has so far.
#[derive(Clone, Copy, Default)]
struct Sum {
    score: f32,
    of_name: f32,
}

impl Sum {
    fn total(self) -> f32 {
        self.score * (1.0 + WHOLE_NAME * self.of_name.min(1.0))
    }
}

fn note(withheld: &mut [WithheldCount; Filter::ALL.len()], why: Withheld) {
    for (count, filter) in withheld.iter_mut().zip(Filter::ALL) {
        if filter == why.filter && why.said {
            count.said += 1;
        } else if filter == why.filter {
            count.unsaid += 1;
        }
    }
}

/// Every word's weight and its share in every tool.
fn weigh(entries: &[Entry], words: &Words) -> BTreeMap<String, Term> {
    let count = entries.len() as f32;
    let mut lexicon = Lexicon::default();
    let texts: Vec<[Vec<usize>; FIELDS]> =
        entries.iter().map(|entry| fields(entry).map(|text| lexicon.terms(&text, words))).collect();
    let mut average = [0.0; FIELDS];
    for text in &texts {
        for (average, field) in average.iter_mut().zip(text) {
            *average += field.len() as f32 / count;
        }
    }
    let mut terms: Vec<Term> = lexicon.terms.iter().map(|_| Term::default()).collect();
    let mut said: Vec<(usize, f32)> = Vec::new();
    for (id, text) in (0_u32..).zip(&texts) {
        for ((field, average), weight) in text.iter().zip(average).zip(FIELD_WEIGHTS) {
            let length = 1.0 - B + B * field.len() as f32 / average;
            said.extend(field.iter().map(|term| (*term, weight / length)));
        }
        said.sort_unstable_by_key(|(term, _)| *term);
        for same in said.chunk_by(|a, b| a.0 == b.0) {
            let sum: f32 = same.iter().map(|(_, said)| said).sum();
            if let Some(term) = same.first().and_then(|(term, _)| terms.get_mut(*term)) {
                term.postings.push(Posting {
                    entry: id,
                    share: sum * (K1 + 1.0) / (sum + K1),
                    of_name: 0.0,
                });
            }
        }
        said.clear();
    }
    for term in &mut terms {
        let tools = term.postings.len() as f32;
        term.weight = (1.0 + (count - tools + 0.5) / (tools + 0.5)).ln();
        term.postings.shrink_to_fit();
    }
    for (id, [_, name, ..]) in (0_u32..).zip(&texts) {
        let whole: f32 = name.iter().filter_map(|term| terms.get(*term)).map(|term| term.weight).sum();
        for term in name {
            let Some(term) = terms.get_mut(*term) else { continue };
            if let Ok(at) = term.postings.binary_search_by_key(&id, |posting| posting.entry)
                && let Some(posting) = term.postings.get_mut(at)
            {
                posting.of_name += term.weight / whole;
            }
        }
    }
    lexicon.terms.into_iter().zip(terms).collect()
}

/// The terms that occur, each with a number; a run of letters is taken apart and stemmed once, however often it is said.
#[derive(Default)]
struct Lexicon {
    terms: Vec<String>,
    numbers: HashMap<String, usize>,
    of_runs: HashMap<String, Vec<usize>>,
}

impl Lexicon {
    fn terms(&mut self, text: &str, words: &Words) -> Vec<usize> {
        let mut terms = Vec::new();
        for run in runs(text) {
            if let Some(known) = self.of_runs.get(run) {
                terms.extend(known);
                continue;
            }
            let found: Vec<usize> =
                split(run).filter_map(|word| words.term(&word)).map(|term| self.number(term)).collect();
            terms.extend(&found);
            self.of_runs.insert(run.to_owned(), found);
        }
        terms
    }

    fn number(&mut self, term: String) -> usize {
        *self.numbers.entry(term).or_insert_with_key(|term| {
            self.terms.push(term.clone());
            self.terms.len() - 1
        })
    }
}

/// What is searched, in the order of [`FIELD_WEIGHTS`]: server, name, title and description, parameters, their descriptions.
fn fields(entry: &Entry) -> [String; FIELDS] {
    let tool = &entry.tool;
    let (mut parameters, mut explained) = (String::new(), String::new());
    if let Some(properties) = tool.input_schema.get("properties").and_then(Value::as_object) {
        for (parameter, schema) in properties {
            parameters.push(' ');
            parameters.push_str(parameter);
            if let Some(description) = schema.get("description").and_then(Value::as_str) {
                explained.push(' ');
                explained.push_str(description);
            }
        }
    }
    let title = tool.title.as_deref().unwrap_or_default();
    let description = tool.description.as_deref().unwrap_or_default();
    [
        entry.server.clone(),
        tool.name.to_string(),
        format!("{title} {description}"),
        parameters,
        explained,
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::tool_id;
    use crate::config::ServerConfig;
    use crate::upstream::snapshot::Phase;

    fn server(name: &str, phase: Phase) -> Snapshot {
        let config = ServerConfig {
            name: name.into(),
            enabled: true,
            ..ServerConfig::default()
        };
        Snapshot::new(Arc::new(config), phase)
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

    #[test]
    fn filters_leave_room_for_what_passes_them_and_are_counted() {
        let mut listed = vec![Tool::new("read_note", "Reads a note", serde_json::Map::new())];
        listed[0].annotations = Some(rmcp::model::ToolAnnotations::new().read_only(true).open_world(false));
        listed.push(Tool::new("note", "note", serde_json::Map::new()));
        let entries = listed.into_iter().map(|tool| Entry {
            server: "s".into(),
            tool,
        });
        let index = ToolIndex::new(entries.collect());
        let filters = Filters {
            read_only_only: true,
            ..Filters::default()
        };
        let search = index.search_within("note", 1, filters);
        assert_eq!((search.found.len(), search.matched), (1, 2));
        assert_eq!(search.found[0].entry.tool.name, "read_note");
        assert_eq!(search.withheld.map(WithheldCount::total), [1, 0, 0]);
        assert_eq!(search.withheld[0].unsaid, 1);
        assert!(index.risk().lethal_trifecta);
    }

    #[test]
    fn a_tools_place_is_explained_by_the_words_of_the_query() {
        let index = ToolIndex::of(&[server(
            "git",
            tools(&[("list_commits", "Lists commits"), ("list_files", "Lists")]),
        )]);
        let explained = index.explain("list the commits", "git", "list_files").unwrap();
        assert_eq!(explained.rank, Some(2));
        let said: Vec<(&str, bool)> = explained.words.iter().map(|(word, says)| (word.as_str(), *says > 0.0)).collect();
        assert_eq!(said, [("commit", false), ("list", true)]);
        assert_eq!(index.explain("zebra", "git", "list_files").unwrap().rank, None);
        assert_eq!(index.explain("list", "git", "nothing"), None);
    }

    #[test]
    fn words_for_the_same_find_a_tool_and_beginnings_do_where_a_word_is_unknown() {
        let index = ToolIndex::of(&[server(
            "disk",
            tools(&[
                ("delete_directory", "Deletes a directory"),
                ("take_screenshot", "Takes a picture"),
            ]),
        )]);
        let first = |query| index.search(query, 1).first().map(|found| found.entry.tool.name.to_string());
        assert_eq!(first("erase folder").as_deref(), Some("delete_directory"));
        assert_eq!(first("screens").as_deref(), Some("take_screenshot"));
        assert_eq!(first("scr"), None);
    }

    /// The golden set of benches/corpus; `cargo bench --bench retrieve` says more.
    #[test]
    fn what_is_searched_for_is_among_the_first_five() {
        #[derive(Deserialize)]
        struct Query {
            query: String,
            relevant: HashMap<String, u32>,
        }
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/corpus/golden45");
        let tools = std::fs::read_to_string(format!("{corpus}.tools.json")).unwrap();
        let queries = std::fs::read_to_string(format!("{corpus}.queries.jsonl")).unwrap();
        let index = ToolIndex::new(serde_json::from_str(&tools).unwrap());
        let queries: Vec<Query> = queries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let recalls = queries.iter().map(|query| {
            let found = index.search(&query.query, 5);
            let id = |found: &Found<'_>| tool_id::join(&found.entry.server, &found.entry.tool.name);
            found.iter().filter(|found| query.relevant.contains_key(&id(found))).count() as f32
                / query.relevant.len() as f32
        });
        let recall = recalls.sum::<f32>() / queries.len() as f32;
        assert!(recall > 0.8, "recall@5 is {recall}");
    }
}
