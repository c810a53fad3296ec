//! Splits the texts of tools into terms, and numbers the terms.

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

use crate::catalog::entry::Entry;
use crate::catalog::interner::{Interner, Strings};
use crate::catalog::spelling::split_joined;
use crate::catalog::tokenizer::{Words, is_plain_word, runs, split};
use crate::catalog::weights::FIELDS;

/// Number of a term.
pub(super) type TermId = u32;

/// Index of each field of a tool that is used by itself.
pub(super) const NAME: usize = 1;
const DESCRIPTION: usize = 2;
const PARAMETERS: usize = 3;

/// Minimum length of a word in a tool's name that may be split as a compound.
const SHORTEST_JOINED: usize = 7;
/// Minimum number of tools that must contain a word before it counts as a part of compounds.
const PART_OCCURS: usize = 2;

/// Assigns numbers to terms. Splits each run of letters once, and stems each word once.
pub(super) struct Lexicon<'a> {
    words: &'a Words,
    stems: Interner,
    /// The unstemmed words, and their terms; none for stop words.
    spelled: Interner,
    of_spelled: Vec<Option<TermId>>,
    runs: Interner,
    /// The terms of all runs, and where those of each run end.
    of_runs: Vec<TermId>,
    ends: Vec<usize>,
}

impl<'a> Lexicon<'a> {
    /// Creates a lexicon without terms.
    pub(super) fn new(words: &'a Words) -> Lexicon<'a> {
        Lexicon {
            words,
            stems: Interner::new(),
            spelled: Interner::new(),
            of_spelled: Vec::new(),
            runs: Interner::new(),
            of_runs: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Returns the number of terms.
    pub(super) fn len(&self) -> usize {
        self.stems.len()
    }

    /// Returns the stems by term; and the unstemmed words with their terms.
    pub(super) fn into_parts(mut self) -> (Interner, Strings, Vec<Option<TermId>>) {
        self.stems.shrink();
        self.of_spelled.shrink_to_fit();
        (self.stems, self.spelled.into_strings(), self.of_spelled)
    }

    /// Appends the terms of a text.
    fn append(&mut self, text: &str, terms: &mut Vec<TermId>) {
        for run in runs(text) {
            let (number, is_new) = self.runs.add(run);
            if is_new {
                self.read(run);
            }
            let end = |number: usize| self.ends.get(number).copied();
            let start = (number as usize).checked_sub(1).and_then(end).unwrap_or_default();
            let of_run = end(number as usize).and_then(|end| self.of_runs.get(start..end));
            terms.extend_from_slice(of_run.unwrap_or_default());
        }
    }

    /// Finds the terms of a new run.
    fn read(&mut self, run: &str) {
        if is_plain_word(run) {
            let term = self.term(run);
            self.of_runs.extend(term);
        } else {
            for word in split(run) {
                let term = self.term(&word);
                self.of_runs.extend(term);
            }
        }
        self.ends.push(self.of_runs.len());
    }

    fn term(&mut self, word: &str) -> Option<TermId> {
        let (number, is_new) = self.spelled.add(word);
        if is_new {
            let term = self.words.term(word).map(|stem| self.stems.add(&stem).0);
            self.of_spelled.push(term);
        }
        self.of_spelled.get(number as usize).copied().flatten()
    }

    /// Returns the term of a word that some text contains.
    fn known(&self, word: &str) -> Option<TermId> {
        match self.spelled.get(word) {
            Some(number) => self.of_spelled.get(number as usize).copied().flatten(),
            None => self.stems.get(&self.words.term(word)?),
        }
    }
}

/// The terms of each field of all tools.
pub(super) struct Texts {
    terms: Vec<TermId>,
    /// Where each field of each tool ends in `terms`.
    ends: Vec<[usize; FIELDS]>,
    /// The parts of compounds in each tool's name; empty if compounds are not split.
    joined: Vec<Vec<TermId>>,
}

impl Texts {
    /// Splits the texts of the tools: server, name, title and description, parameters, their descriptions.
    pub(super) fn read(entries: &[Entry], lexicon: &mut Lexicon<'_>) -> Texts {
        let (mut terms, mut ends) = (Vec::new(), Vec::with_capacity(entries.len()));
        for Entry { server, tool } in entries {
            lexicon.append(server, &mut terms);
            let server = terms.len();
            lexicon.append(&tool.name, &mut terms);
            let name = terms.len();
            lexicon.append(tool.title.as_deref().unwrap_or_default(), &mut terms);
            lexicon.append(tool.description.as_deref().unwrap_or_default(), &mut terms);
            let description = terms.len();
            parameters(tool).for_each(|(parameter, _)| lexicon.append(parameter, &mut terms));
            let named = terms.len();
            let explained =
                parameters(tool).filter_map(|(_, schema)| value(schema.as_object()?, "description")?.as_str());
            explained.for_each(|text| lexicon.append(text, &mut terms));
            ends.push([server, name, description, named, terms.len()]);
        }
        Texts {
            terms,
            ends,
            joined: Vec::new(),
        }
    }

    /// Returns the number of tools.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the terms of a field of a tool.
    pub(super) fn field(&self, entry: usize, field: usize) -> impl ExactSizeIterator<Item = TermId> + '_ {
        let end = |field: usize| Some(*self.ends.get(entry)?.get(field)?);
        let start = match (field.checked_sub(1), entry.checked_sub(1)) {
            (Some(previous), _) => end(previous),
            (None, Some(previous)) => self.ends.get(previous).and_then(|ends| ends.last()).copied(),
            (None, None) => Some(0),
        };
        let own = start.zip(end(field)).and_then(|(start, end)| self.terms.get(start..end)).unwrap_or_default();
        let joined = self.joined.get(entry).filter(|_| field == NAME).map_or(&[][..], Vec::as_slice);
        Both(own, joined)
    }

    /// Adds the parts of compounds to the names that contain them.
    pub(super) fn split_names(&mut self, entries: &[Entry], lexicon: &Lexicon<'_>) {
        let occurs = self.counts(lexicon.len(), [DESCRIPTION, PARAMETERS]);
        let known = |word: &str| {
            let term = lexicon.known(word)?;
            (*occurs.get(term as usize)? as usize >= PART_OCCURS).then_some(term)
        };
        let of = |entry: &Entry| {
            let mut parts = Vec::new();
            for word in split(&entry.tool.name) {
                if word.chars().count() >= SHORTEST_JOINED
                    && known(&word).is_none()
                    && let Some((one, other)) = split_joined(&word, known)
                {
                    parts.extend([one, other]);
                }
            }
            parts
        };
        self.joined = entries.iter().map(of).collect();
    }

    /// Returns in how many tools each term occurs in one of these fields.
    pub(super) fn counts<const N: usize>(&self, terms: usize, fields: [usize; N]) -> Vec<u32> {
        // The number of the last tool in which a term was seen, from 1, and the number of tools.
        let mut seen = vec![(0_usize, 0_u32); terms];
        for entry in 0..self.len() {
            for term in fields.iter().flat_map(|field| self.field(entry, *field)) {
                if let Some((last, count)) = seen.get_mut(term as usize).filter(|(last, _)| *last != entry + 1) {
                    (*last, *count) = (entry + 1, *count + 1);
                }
            }
        }
        seen.into_iter().map(|(_, count)| count).collect()
    }
}

/// Two slices, one after the other.
struct Both<'a>(&'a [TermId], &'a [TermId]);

impl Iterator for Both<'_> {
    type Item = TermId;

    fn next(&mut self) -> Option<TermId> {
        if self.0.is_empty() {
            self.0 = std::mem::take(&mut self.1);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let length = self.0.len() + self.1.len();
        (length, Some(length))
    }
}

impl ExactSizeIterator for Both<'_> {}

fn parameters(tool: &Tool) -> impl Iterator<Item = (&String, &Value)> {
    value(&tool.input_schema, "properties").and_then(Value::as_object).into_iter().flatten()
}

/// Returns a value of a schema. Comparing its few keys is faster than hashing one.
fn value<'a>(object: &'a JsonObject, key: &str) -> Option<&'a Value> {
    const FEW: usize = 8;
    if object.len() > FEW {
        return object.get(key);
    }
    object.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
}
