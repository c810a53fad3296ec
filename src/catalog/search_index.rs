//! Keyword search over the tools of all connected servers, using BM25 with weighted fields (BM25F). Everything that
//! does not depend on the query is computed when the tools change, so a search only adds up numbers.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::catalog::annotations::{Filter, Filters, Hints, SessionRisk, Withheld};
pub use crate::catalog::entry::Entry;
use crate::catalog::lexicon::TermId;
use crate::catalog::query::{self, QueryWord, WordKind};
use crate::catalog::term_index::TermIndex;
use crate::catalog::tokenizer::Words;
use crate::catalog::weights::Weights;
use crate::catalog::{spelling, synonyms};
use crate::upstream::snapshot::Snapshot;

/// A searchable set of tools. Rebuilt completely when any server's tools change.
pub struct ToolIndex {
    entries: Vec<Entry>,
    /// The annotations of each entry, in the same order.
    hints: Vec<Hints>,
    risk: SessionRisk,
    terms: TermIndex,
    words: Words,
    weights: Weights,
    /// The tokens of each server's tools, once they were counted.
    tokens: OnceLock<BTreeMap<String, u64>>,
}

/// A tool in a search result, and its score.
pub struct Found<'a> {
    pub entry: &'a Entry,
    pub score: f32,
}

/// The result of a search.
pub struct Search<'a> {
    /// The best tools, best first.
    pub found: Vec<Found<'a>>,
    /// Number of all matching tools, including those that filters excluded.
    pub matched: usize,
    /// Number of tools that each filter excluded, in the order of [`Filter::ALL`].
    pub withheld: [WithheldCount; Filter::ALL.len()],
}

/// Number of tools that one filter excluded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WithheldCount {
    /// Tools without the annotation that the filter checks.
    pub unsaid: usize,
    /// Tools whose annotation explicitly fails the filter.
    pub said: usize,
}

impl WithheldCount {
    /// Returns the sum of both.
    pub fn total(self) -> usize {
        self.unsaid + self.said
    }
}

/// Why a tool has its rank for a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub score: f32,
    /// The tool's position among all matches, from 1; `None` if no word of the query matches.
    pub rank: Option<usize>,
    /// The contribution of each word of the query.
    pub words: Vec<WordMatch>,
    /// Share of the tool's name that the query contains, from 0 to 1.
    pub of_name: f32,
    /// Share of the query that the tool matches, weighted by how rare its words are.
    pub coverage: f32,
}

/// The match between one word of a query and a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct WordMatch {
    pub word: String,
    /// Contribution to the score, before the gains for name and coverage; 0 if the word does not match.
    pub adds: f32,
    /// The matching stem, and how it is related to the word.
    pub by: Option<(String, Relation)>,
}

/// The relation between a word of a query and a term of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Same,
    Synonym,
    /// The word is a misspelling of the term.
    Spelling,
    /// The words have the same beginning.
    Start,
}

impl Relation {
    /// Describes the relation to a stem, for the user.
    pub fn in_words(self, stem: &str) -> String {
        match self {
            Relation::Same => format!("`{stem}`"),
            Relation::Synonym => format!("synonym `{stem}`"),
            Relation::Spelling => format!("corrected spelling `{stem}`"),
            Relation::Start => format!("same beginning as `{stem}`"),
        }
    }
}

/// A term that a word of a query matches.
#[derive(Clone, Copy)]
struct Meaning {
    id: TermId,
    worth: f32,
    relation: Relation,
}

/// Maximum number of tools in one search result.
pub const LARGEST_LIMIT: usize = 100;

impl ToolIndex {
    /// Creates an index without tools.
    pub fn empty() -> ToolIndex {
        ToolIndex::new(Vec::new())
    }

    /// Indexes the tools that clients may see and call now.
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

    /// Indexes these tools.
    pub fn new(entries: Vec<Entry>) -> ToolIndex {
        ToolIndex::with_weights(entries, Weights::CHOSEN)
    }

    /// Indexes these tools with other weights, to compare weights.
    pub fn with_weights(entries: Vec<Entry>, weights: Weights) -> ToolIndex {
        let words = Words::english();
        let hints: Vec<Hints> = entries.iter().map(|entry| Hints::of(entry.tool.annotations.as_ref())).collect();
        ToolIndex {
            risk: SessionRisk::of(&hints),
            terms: TermIndex::new(&entries, &words, &weights),
            entries,
            hints,
            words,
            weights,
            tokens: OnceLock::new(),
        }
    }

    /// Returns the number of tools.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the risk that all tools together pose.
    pub(crate) fn risk(&self) -> SessionRisk {
        self.risk
    }

    /// Returns all tools.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the tokens of each server's tools, which `count` counts the first time.
    pub(crate) fn tool_tokens(&self, count: impl FnOnce(&[Entry]) -> BTreeMap<String, u64>) -> &BTreeMap<String, u64> {
        self.tokens.get_or_init(|| count(&self.entries))
    }

    /// Returns the words of a query that the search uses.
    pub(crate) fn query_words(&self, query: &str) -> Vec<String> {
        self.parse(query).into_iter().map(|word| word.word).collect()
    }

    /// Returns the best tools for a query, best first; equal scores are ordered by name.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Found<'_>> {
        self.search_within(query, limit, Filters::default()).found
    }

    /// Searches like [`ToolIndex::search`], without the tools that the filters exclude.
    pub(crate) fn search_within(&self, query: &str, limit: usize, filters: Filters) -> Search<'_> {
        let (mut matched, mut withheld) = (0, [WithheldCount::default(); Filter::ALL.len()]);
        let mut found = Vec::new();
        let sums = self.sums(query);
        for ((entry, hints), sum) in self.entries.iter().zip(&self.hints).zip(&sums.of_entries) {
            if sum.score <= 0.0 {
                continue;
            }
            matched += 1;
            match filters.withhold(*hints) {
                None => found.push(Found {
                    entry,
                    score: self.total(sum, sums.most),
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

    /// Explains the rank of a tool; `None` if the tool does not exist.
    pub fn explain(&self, query: &str, server: &str, tool: &str) -> Option<Explanation> {
        let at = self.entries.iter().position(|entry| entry.server == server && entry.tool.name == tool)?;
        let sums = self.sums(query);
        let sum = sums.of_entries.get(at)?;
        let total = |sum: &Sum| self.total(sum, sums.most);
        let score = total(sum);
        let words = self.parse(query);
        let matches = words.iter().map(|word| self.word_match(word, words.len(), at));
        Some(Explanation {
            score,
            rank: (score > 0.0).then(|| 1 + sums.of_entries.iter().filter(|sum| total(sum) > score).count()),
            words: matches.collect(),
            of_name: sum.of_name.min(1.0),
            coverage: sum.matched / sums.most.max(f32::MIN_POSITIVE),
        })
    }

    fn word_match(&self, word: &QueryWord, query_length: usize, entry: usize) -> WordMatch {
        let adds = self.meanings(word, query_length).into_iter().filter_map(|meaning| {
            let postings = self.terms.term(meaning.id)?.postings;
            let at = postings.binary_search_by_key(&entry, |posting| posting.entry as usize).ok()?;
            Some((meaning.worth * postings.get(at)?.share, meaning))
        });
        let best = adds.max_by(|a, b| a.0.total_cmp(&b.0));
        WordMatch {
            word: word.word.clone(),
            adds: best.map_or(0.0, |(adds, _)| adds),
            by: best.and_then(|(_, meaning)| Some((self.terms.stem(meaning.id)?.to_owned(), meaning.relation))),
        }
    }

    /// Adds up the scores of a query's words for each tool.
    fn sums(&self, query: &str) -> Sums {
        let mut sums = vec![Sum::default(); self.entries.len()];
        let mut best = vec![Best::default(); self.entries.len()];
        let (mut touched, mut most) = (Vec::new(), 0.0);
        let words = self.parse(query);
        for word in &words {
            let meanings = self.meanings(word, words.len());
            let top = meanings.iter().map(|meaning| meaning.worth).fold(0.0, f32::max);
            most += top;
            // For each tool, only the best match among a word and its synonyms counts.
            for meaning in meanings {
                let Some(term) = self.terms.term(meaning.id) else { continue };
                for posting in term.postings {
                    let Some(best) = best.get_mut(posting.entry as usize) else { continue };
                    if best.score == 0.0 {
                        touched.push(posting.entry);
                    }
                    best.score = best.score.max(meaning.worth * posting.share);
                    best.of_name = best.of_name.max(meaning.worth / term.weight * posting.of_name);
                }
            }
            for entry in touched.drain(..) {
                let Some((sum, best)) = sums.get_mut(entry as usize).zip(best.get_mut(entry as usize)) else {
                    continue;
                };
                sum.score += best.score;
                sum.of_name += best.of_name;
                sum.matched += top;
                *best = Best::default();
            }
        }
        Sums { of_entries: sums, most }
    }

    fn total(&self, sum: &Sum, most: f32) -> f32 {
        let name = 1.0 + self.weights.whole_name * sum.of_name.min(1.0);
        let coverage = 1.0 + self.weights.coverage * sum.matched / most.max(f32::MIN_POSITIVE);
        sum.score * name * coverage
    }

    /// Splits a query into words. An unknown compound of two known words is replaced by those words.
    fn parse(&self, query: &str) -> Vec<QueryWord> {
        let is_known = |word: &QueryWord| self.terms.id(&word.term).is_some() || !synonyms::of(&word.term).is_empty();
        let mut parsed = query::parse(query, &self.words, false);
        if !parsed.iter().any(is_known) {
            parsed = query::parse(query, &self.words, true);
        }
        let mut words = Vec::new();
        for word in parsed {
            // `Some(None)` stands for a known word that is not searched for, such as `the`.
            let known = |part: &str| match self.words.term(part).filter(|_| !self.words.is_filler(part)) {
                Some(term) => self.terms.id(&term).map(|_| Some((part.to_owned(), term))),
                None => Some(None),
            };
            let parts = if is_known(&word) { None } else { spelling::split_joined(&word.word, known) };
            // `forcast` is a mistyped `forecast` rather than the known parts `forc` and `ast`.
            let parts = parts.filter(|_| !self.has_one_mistake(&word));
            match parts {
                Some((one, other)) => words.extend([one, other].into_iter().flatten().map(|(part, term)| QueryWord {
                    word: part,
                    term,
                    kind: WordKind::Part,
                    correctable: false,
                })),
                None => words.push(word),
            }
        }
        words
    }

    /// Whether a known word differs from this one by a single typing mistake.
    fn has_one_mistake(&self, word: &QueryWord) -> bool {
        let (mistakes, ids) = self.terms.corrected(&word.word, &self.words);
        word.correctable && mistakes <= 1 && !ids.is_empty()
    }

    /// Returns the terms that a word matches, with their weights.
    fn meanings(&self, word: &QueryWord, query_length: usize) -> Vec<Meaning> {
        let weights = &self.weights;
        let factor = match word.kind {
            WordKind::Word => 1.0,
            WordKind::Part => weights.parts,
            WordKind::Translation => weights.translation,
            WordKind::Path => weights.path,
            WordKind::Literal => weights.literal,
            WordKind::LiteralKind => weights.literal_kind,
            WordKind::Extension => weights.extension,
        };
        let weight = |id: TermId| self.terms.term(id).map_or(0.0, |term| term.weight);
        let own = self.terms.id(&word.term);
        let mut meanings = Vec::new();
        let mut add = |id: TermId, worth: f32, relation: Relation| {
            meanings.push(Meaning {
                id,
                worth: factor * worth,
                relation,
            });
        };
        if let Some(own) = own {
            add(own, weight(own), Relation::Same);
        }
        // A rare synonym must not count more than the word itself.
        let most = own.map_or(f32::INFINITY, weight);
        let long = (weights.short_query / (query_length as f32).max(weights.short_query)).powf(weights.long_query);
        let related = synonyms::of(&word.term).iter().filter_map(|synonym| self.terms.id(synonym));
        for id in related {
            add(id, weights.synonym * long * weight(id).min(most), Relation::Synonym);
        }
        if own.is_some() {
            return meanings;
        }
        if word.correctable {
            let (mistakes, ids) = self.terms.corrected(&word.word, &self.words);
            let starts = if ids.is_empty() { self.terms.with_same_start(&word.term) } else { Vec::new() };
            let spelling = weights.spelling / mistakes.max(1) as f32;
            for id in ids {
                add(id, spelling * weight(id), Relation::Spelling);
                let related = self.terms.stem(id).map_or(&[][..], synonyms::of).iter();
                for synonym in related.filter_map(|synonym| self.terms.id(synonym)) {
                    let worth = weights.synonym * long * weight(synonym).min(weight(id));
                    add(synonym, spelling * worth, Relation::Synonym);
                }
            }
            for id in starts {
                add(id, weights.prefix * weight(id), Relation::Start);
            }
        }
        meanings
    }
}

/// The sums for all tools.
struct Sums {
    of_entries: Vec<Sum>,
    /// The highest possible weight: that of the whole query.
    most: f32,
}

/// The sums for one tool.
#[derive(Clone, Copy, Default)]
struct Sum {
    score: f32,
    of_name: f32,
    /// The weight of the matching words.
    matched: f32,
}

/// The best match of one word for one tool.
#[derive(Clone, Copy, Default)]
struct Best {
    score: f32,
    of_name: f32,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rmcp::model::Tool;

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
    fn a_server_that_needs_approval_shows_no_tools() {
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
    fn a_tools_rank_is_explained_by_the_words_of_the_query() {
        let index = ToolIndex::of(&[server(
            "git",
            tools(&[("list_commits", "Lists commits"), ("list_files", "Lists")]),
        )]);
        let explained = index.explain("list the commits", "git", "list_files").unwrap();
        assert_eq!(explained.rank, Some(2));
        let said: Vec<(&str, bool)> =
            explained.words.iter().map(|word| (word.word.as_str(), word.adds > 0.0)).collect();
        assert_eq!(said, [("list", true), ("commits", false)]);
        assert_eq!(explained.words[0].by, Some(("list".to_owned(), Relation::Same)));
        let mistyped = index.explain("lisst", "git", "list_files").unwrap();
        assert_eq!(mistyped.words[0].by, Some(("list".to_owned(), Relation::Spelling)));
        assert_eq!(index.explain("zebra", "git", "list_files").unwrap().rank, None);
        assert_eq!(index.explain("list", "git", "nothing"), None);
    }

    #[test]
    fn a_foreign_request_with_a_name_is_understood() {
        let index = ToolIndex::of(&[server("sky", tools(&[("get_forecast", "Weather for a city")]))]);
        for query in ["Wetter in Berlin", "météo à Lyon", "cuaca di Jakarta"] {
            assert_eq!(index.search(query, 1).len(), 1, "{query}");
        }
    }

    #[test]
    fn typing_mistakes_mean_words_that_name_things() {
        let index = ToolIndex::of(&[
            server("sky", tools(&[("get_forecast", "Weather of the week"), ("force_ast", "Forces the AST")])),
            server("disk", tools(&[("remove_note", "Checks whether it is there, and removes it")])),
        ]);
        let first = |query| index.search(query, 1).first().map(|found| found.entry.tool.name.to_string());
        assert_eq!(first("forcast").as_deref(), Some("get_forecast"));
        assert_eq!(first("wheather").as_deref(), Some("get_forecast"), "not `whether`");
        let index = ToolIndex::of(&[server(
            "disk",
            tools(&[("remove_note", "Removes a note"), ("delete_nothing", "Does not")]),
        )]);
        let removes = index.explain("delte note", "disk", "remove_note").unwrap();
        assert!(removes.words[0].adds > 0.0, "a synonym of the corrected word: {removes:?}");
        let apostrophe = |query| index.query_words(query);
        assert_eq!(apostrophe("I'm sure it doesn't matter, what's there"), ["matter"]);
    }

    #[test]
    fn synonyms_find_a_tool_and_prefixes_match_unknown_words() {
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
}
