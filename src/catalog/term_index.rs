//! The inverted index: each term with the tools that contain it. Everything that does not depend on a query is computed
//! here, once.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::catalog::entry::Entry;
use crate::catalog::spelling::{SHORTEST, accepted, distance, split_joined};
use crate::catalog::tokenizer::{Words, runs, split};
use crate::catalog::weights::{FIELDS, Weights};

/// Index of a term.
pub type TermId = u32;

/// The terms of a set of tools.
pub struct TermIndex {
    /// IDs by stem. Sorted, to find stems by prefix.
    ids: BTreeMap<String, TermId>,
    terms: Vec<Term>,
    /// The unstemmed words, sorted, to correct typing mistakes.
    vocabulary: Vec<(Box<str>, TermId)>,
}

/// A stem and the tools that contain it.
#[derive(Default)]
pub struct Term {
    /// Inverse document frequency: rare terms weigh more.
    pub weight: f32,
    pub postings: Vec<Posting>,
}

/// An occurrence of a term in one tool.
pub struct Posting {
    /// The tool's index.
    pub entry: u32,
    /// The BM25F score for this tool, without the term's weight.
    pub share: f32,
    /// Share of the tool's name, from 0 to 1.
    pub of_name: f32,
}

/// Index of the name among the fields.
const NAME: usize = 1;
/// Minimum length of a word in a tool's name that may be split as a compound.
const SHORTEST_JOINED: usize = 7;
/// Minimum number of tools that must contain a word before it counts as a part of compounds.
const PART_OCCURS: usize = 2;
/// Minimum length of a stem in a prefix match.
const SHORTEST_START: usize = 4;

impl TermIndex {
    /// Indexes the tools.
    pub fn new(entries: &[Entry], words: &Words, weights: &Weights) -> TermIndex {
        let mut lexicon = Lexicon::default();
        let mut texts: Vec<Texts> =
            entries.iter().map(|entry| fields(entry).map(|text| lexicon.terms(&text, words))).collect();
        if weights.split_names {
            split_names(entries, &mut texts, &lexicon, words);
        }
        let terms = weigh(&texts, lexicon.terms.len(), weights);
        let mut vocabulary: Vec<(Box<str>, TermId)> =
            lexicon.vocabulary.into_iter().map(|(word, id)| (word.into(), id)).collect();
        vocabulary.sort_unstable();
        TermIndex {
            ids: lexicon.terms.into_iter().zip(0..).collect(),
            terms,
            vocabulary,
        }
    }

    /// Returns the ID of a stem.
    pub fn id(&self, stem: &str) -> Option<TermId> {
        self.ids.get(stem).copied()
    }

    /// Returns the term with this ID.
    pub fn term(&self, id: TermId) -> Option<&Term> {
        self.terms.get(id as usize)
    }

    /// Returns the stem with this ID. Slow; only explanations use it.
    pub fn stem(&self, id: TermId) -> Option<&str> {
        self.ids.iter().find(|(_, known)| **known == id).map(|(stem, _)| stem.as_str())
    }

    /// Returns the terms that start with this stem, and those that are a prefix of it.
    pub fn with_same_start(&self, stem: &str) -> Vec<TermId> {
        if stem.chars().count() < SHORTEST_START {
            return Vec::new();
        }
        let longer = self.ids.range(stem.to_owned()..).take_while(|(other, _)| other.starts_with(stem));
        let ends = stem.char_indices().map(|(at, _)| at).skip(SHORTEST_START);
        let shorter = ends.filter_map(|end| self.ids.get(stem.get(..end)?));
        longer.map(|(_, id)| id).chain(shorter).copied().collect()
    }

    /// Returns the terms with the smallest number of typing mistakes, and that number.
    pub fn corrected(&self, word: &str) -> (usize, Vec<TermId>) {
        let letters: Vec<char> = word.chars().collect();
        let (mut fewest, mut found) = (accepted(letters.len()), Vec::new());
        let Some(first) = letters.first().filter(|_| letters.len() >= SHORTEST) else {
            return (0, found);
        };
        let start = first.to_string();
        let from = self.vocabulary.partition_point(|(other, _)| **other < *start);
        let mut other_letters = Vec::new();
        for (other, id) in self.vocabulary.iter().skip(from).take_while(|(other, _)| other.starts_with(&start)) {
            other_letters.clear();
            other_letters.extend(other.chars());
            let Some(mistakes) = distance(&letters, &other_letters, fewest) else { continue };
            if mistakes < fewest {
                found.clear();
                fewest = mistakes;
            }
            if !found.contains(id) {
                found.push(*id);
            }
        }
        (fewest, found)
    }
}

/// The terms of each field of a tool.
type Texts = [Vec<TermId>; FIELDS];

/// Adds the parts of compounds to the names that contain them.
fn split_names(entries: &[Entry], texts: &mut [Texts], lexicon: &Lexicon, words: &Words) {
    let mut occurs = vec![0_usize; lexicon.terms.len()];
    for [_, _, description, parameters, _] in texts.iter() {
        let mut terms: Vec<TermId> = description.iter().chain(parameters).copied().collect();
        terms.sort_unstable();
        terms.dedup();
        for term in terms {
            if let Some(count) = occurs.get_mut(term as usize) {
                *count += 1;
            }
        }
    }
    let known = |word: &str| {
        let id = lexicon.ids.get(&words.term(word)?).copied()?;
        (*occurs.get(id as usize)? >= PART_OCCURS).then_some(id)
    };
    for (entry, [_, name, ..]) in entries.iter().zip(texts) {
        for word in split(&entry.tool.name) {
            if word.chars().count() >= SHORTEST_JOINED
                && known(&word).is_none()
                && let Some((one, other)) = split_joined(&word, known)
            {
                name.extend([one, other]);
            }
        }
    }
}

/// Computes each term's weight, and its score for each tool.
fn weigh(texts: &[Texts], count: usize, weights: &Weights) -> Vec<Term> {
    let tools = texts.len() as f32;
    let mut average = [0.0; FIELDS];
    for text in texts {
        for (average, field) in average.iter_mut().zip(text) {
            *average += field.len() as f32 / tools;
        }
    }
    let mut terms: Vec<Term> = (0..count).map(|_| Term::default()).collect();
    let mut parts: Vec<(TermId, f32)> = Vec::new();
    for (entry, text) in (0_u32..).zip(texts) {
        for ((field, average), weight) in text.iter().zip(average).zip(weights.fields) {
            let length = 1.0 - weights.b + weights.b * field.len() as f32 / average;
            parts.extend(field.iter().map(|term| (*term, weight / length)));
        }
        parts.sort_unstable_by_key(|(term, _)| *term);
        for same in parts.chunk_by(|a, b| a.0 == b.0) {
            let sum: f32 = same.iter().map(|(_, part)| part).sum();
            if let Some(term) = same.first().and_then(|(term, _)| terms.get_mut(*term as usize)) {
                let share = sum * (weights.k1 + 1.0) / (sum + weights.k1);
                term.postings.push(Posting {
                    entry,
                    share,
                    of_name: 0.0,
                });
            }
        }
        parts.clear();
    }
    for term in &mut terms {
        let with = term.postings.len() as f32;
        term.weight = (1.0 + (tools - with + 0.5) / (with + 0.5)).ln();
        term.postings.shrink_to_fit();
    }
    for (entry, text) in (0_u32..).zip(texts) {
        let Some(name) = text.get(NAME) else { continue };
        let whole: f32 = name.iter().filter_map(|term| terms.get(*term as usize)).map(|term| term.weight).sum();
        for term in name {
            let Some(term) = terms.get_mut(*term as usize) else { continue };
            if let Ok(at) = term.postings.binary_search_by_key(&entry, |posting| posting.entry)
                && let Some(posting) = term.postings.get_mut(at)
            {
                posting.of_name += term.weight / whole;
            }
        }
    }
    terms
}

/// Assigns IDs to terms. Caches each run of letters, which is split and stemmed only once.
#[derive(Default)]
struct Lexicon {
    terms: Vec<String>,
    ids: HashMap<String, TermId>,
    of_runs: HashMap<String, Vec<TermId>>,
    vocabulary: HashMap<String, TermId>,
}

impl Lexicon {
    fn terms(&mut self, text: &str, words: &Words) -> Vec<TermId> {
        let mut terms = Vec::new();
        for run in runs(text) {
            if let Some(known) = self.of_runs.get(run) {
                terms.extend(known);
                continue;
            }
            let mut found = Vec::new();
            for word in split(run) {
                if let Some(term) = words.term(&word) {
                    let id = self.id(term);
                    self.vocabulary.insert(word, id);
                    found.push(id);
                }
            }
            terms.extend(&found);
            self.of_runs.insert(run.to_owned(), found);
        }
        terms
    }

    fn id(&mut self, term: String) -> TermId {
        let next = self.terms.len() as TermId;
        *self.ids.entry(term).or_insert_with_key(|term| {
            self.terms.push(term.clone());
            next
        })
    }
}

/// Returns the searchable text of a tool: server, name, title and description, parameters, their descriptions.
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
