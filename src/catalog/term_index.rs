//! The inverted index: each term with the tools that contain it. Everything that does not depend on a query is computed
//! here, once.

use std::sync::OnceLock;

use crate::catalog::entry::Entry;
use crate::catalog::interner::{Interner, Strings};
use crate::catalog::lexicon::{Lexicon, NAME, TermId, Texts};
use crate::catalog::spelling::{Distances, SHORTEST, accepted};
use crate::catalog::tokenizer::Words;
use crate::catalog::weights::{FIELDS, Weights};

/// The terms of a set of tools.
pub struct TermIndex {
    /// The stem of each term.
    stems: Interner,
    terms: Vec<Term>,
    /// The postings of all terms, ordered by term and tool.
    postings: Vec<Posting>,
    /// The unstemmed words, to correct typing mistakes, and their terms; none for stop words.
    spelled: Strings,
    of_spelled: Vec<Option<TermId>>,
    /// The terms ordered by stem, to find stems by prefix. Sorted for the first query that needs it, like the next one.
    by_stem: OnceLock<Vec<TermId>>,
    /// The numbers of the unstemmed words, in order.
    by_spelling: OnceLock<Vec<u32>>,
}

/// A stem.
#[derive(Clone, Copy)]
struct Term {
    weight: f32,
    /// Where its postings end; they begin where those of the previous term end.
    end: usize,
}

/// The occurrences of a term.
#[derive(Clone, Copy)]
pub struct Occurrences<'a> {
    /// Inverse document frequency: rare terms weigh more.
    pub weight: f32,
    /// The tools that contain the term, in order.
    pub postings: &'a [Posting],
}

/// An occurrence of a term in one tool.
#[derive(Clone, Copy, Default)]
pub struct Posting {
    /// The tool's index.
    pub entry: u32,
    /// The BM25F score for this tool, without the term's weight.
    pub share: f32,
    /// Share of the tool's name, from 0 to 1.
    pub of_name: f32,
}

/// Minimum length of a stem in a prefix match.
const SHORTEST_START: usize = 4;

impl TermIndex {
    /// Indexes the tools.
    pub fn new(entries: &[Entry], words: &Words, weights: &Weights) -> TermIndex {
        let mut lexicon = Lexicon::new(words);
        let mut texts = Texts::read(entries, &mut lexicon);
        if weights.split_names {
            texts.split_names(entries, &lexicon);
        }
        let (terms, postings) = weigh(&texts, lexicon.len(), weights);
        let (stems, spelled, of_spelled) = lexicon.into_parts();
        TermIndex {
            stems,
            terms,
            postings,
            spelled,
            of_spelled,
            by_stem: OnceLock::new(),
            by_spelling: OnceLock::new(),
        }
    }

    /// Returns the term of a stem.
    pub fn id(&self, stem: &str) -> Option<TermId> {
        self.stems.get(stem)
    }

    /// Returns the occurrences of a term.
    pub fn term(&self, id: TermId) -> Option<Occurrences<'_>> {
        let term = self.terms.get(id as usize)?;
        let previous = (id as usize).checked_sub(1).and_then(|previous| self.terms.get(previous));
        let start = previous.map_or(0, |previous| previous.end);
        Some(Occurrences {
            weight: term.weight,
            postings: self.postings.get(start..term.end)?,
        })
    }

    /// Returns the stem of a term.
    pub fn stem(&self, id: TermId) -> Option<&str> {
        self.stems.strings().get(id)
    }

    /// Returns the terms that start with this stem, and those that are a prefix of it.
    pub fn with_same_start(&self, stem: &str) -> Vec<TermId> {
        if stem.chars().count() < SHORTEST_START {
            return Vec::new();
        }
        let sorted = self.by_stem.get_or_init(|| self.stems.strings().sorted());
        let longer = starting_with(sorted, self.stems.strings(), stem).map(|(id, _)| id);
        let ends = stem.char_indices().map(|(at, _)| at).skip(SHORTEST_START);
        let shorter = ends.filter_map(|end| self.stems.get(stem.get(..end)?));
        longer.chain(shorter).collect()
    }

    /// Returns the terms with the smallest number of typing mistakes, and that number. `wheather` does not mean `whether`,
    /// so the words that a search leaves out are never corrections.
    pub fn corrected(&self, word: &str, words: &Words) -> (usize, Vec<TermId>) {
        let letters: Vec<char> = word.chars().collect();
        let (mut fewest, mut found) = (accepted(letters.len()), Vec::new());
        let Some(first) = letters.first().filter(|_| letters.len() >= SHORTEST) else {
            return (0, found);
        };
        let sorted = self.by_spelling.get_or_init(|| self.spelled.sorted());
        let mut distances = Distances::from(&letters);
        for (number, other) in starting_with(sorted, &self.spelled, first.encode_utf8(&mut [0; 4])) {
            let Some(term) = self.of_spelled.get(number as usize).copied().flatten() else {
                continue;
            };
            let Some(mistakes) = distances.to(other, fewest).filter(|_| !words.is_filler(other)) else {
                continue;
            };
            if mistakes < fewest {
                found.clear();
                fewest = mistakes;
            }
            if !found.contains(&term) {
                found.push(term);
            }
        }
        (fewest, found)
    }
}

/// Returns the strings with this prefix, with their numbers.
fn starting_with<'a>(sorted: &'a [u32], strings: &'a Strings, prefix: &str) -> impl Iterator<Item = (u32, &'a str)> {
    let from = sorted.partition_point(|number| strings.get(*number).is_some_and(|string| string < prefix));
    let with_string = sorted.iter().skip(from).filter_map(|number| Some((*number, strings.get(*number)?)));
    with_string.take_while(move |(_, string)| string.starts_with(prefix))
}

/// Computes each term's weight, and its score for each tool.
fn weigh(texts: &Texts, count: usize, weights: &Weights) -> (Vec<Term>, Vec<Posting>) {
    let tools = texts.len() as f32;
    let mut end = 0;
    let terms: Vec<Term> = texts
        .counts(count, std::array::from_fn::<usize, FIELDS, _>(|field| field))
        .into_iter()
        .map(|with| {
            end += with as usize;
            let with = with as f32;
            Term {
                weight: (1.0 + (tools - with + 0.5) / (with + 0.5)).ln(),
                end,
            }
        })
        .collect();
    let mut postings = vec![Posting::default(); end];
    // Where the next posting of each term belongs.
    let mut next: Vec<usize> = std::iter::once(0).chain(terms.iter().map(|term| term.end)).take(count).collect();
    let average = average_lengths(texts);
    let mut parts: Vec<(TermId, f32)> = Vec::new();
    for entry in 0..texts.len() {
        for (field, (average, weight)) in average.iter().zip(weights.fields).enumerate() {
            let field = texts.field(entry, field);
            let length = 1.0 - weights.b + weights.b * field.len() as f32 / average;
            parts.extend(field.map(|term| (term, weight / length)));
        }
        parts.sort_unstable_by_key(|(term, _)| *term);
        for same in parts.chunk_by(|a, b| a.0 == b.0) {
            let sum: f32 = same.iter().map(|(_, part)| part).sum();
            let next = same.first().and_then(|(term, _)| next.get_mut(*term as usize));
            let Some((next, posting)) = next.and_then(|next| postings.get_mut(*next).map(|posting| (next, posting)))
            else {
                continue;
            };
            *next += 1;
            *posting = Posting {
                entry: entry as u32,
                share: sum * (weights.k1 + 1.0) / (sum + weights.k1),
                of_name: 0.0,
            };
        }
        // The last posting of each of these terms is that of this tool.
        let weight = |term: TermId| terms.get(term as usize).map_or(0.0, |term| term.weight);
        let whole: f32 = texts.field(entry, NAME).map(weight).sum();
        for term in texts.field(entry, NAME) {
            let last = next.get(term as usize).and_then(|next| next.checked_sub(1));
            if let Some(posting) = last.and_then(|last| postings.get_mut(last)) {
                posting.of_name += weight(term) / whole;
            }
        }
        parts.clear();
    }
    (terms, postings)
}

/// Returns the average number of terms in each field.
fn average_lengths(texts: &Texts) -> [f32; FIELDS] {
    let mut average = [0.0; FIELDS];
    for entry in 0..texts.len() {
        for (field, average) in average.iter_mut().enumerate() {
            *average += texts.field(entry, field).len() as f32 / texts.len() as f32;
        }
    }
    average
}
