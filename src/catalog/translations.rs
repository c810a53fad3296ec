//! English translations of verbs and objects that are common in tools, from the twelve most spoken languages.
//!
//! The list is `translations.tsv`; `docs/search-quality.md` names its sources.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::catalog::synonyms;
use crate::catalog::tokenizer::{Words, is_unspaced, runs};

/// One row per English word, one column per language; the first row names the languages.
const LIST: &str = include_str!("translations.tsv");

/// The columns with a stemmer.
const STEMMERS: [(usize, Algorithm); 6] = [
    (3, Algorithm::Spanish),
    (4, Algorithm::Arabic),
    (5, Algorithm::French),
    (7, Algorithm::Portuguese),
    (8, Algorithm::Russian),
    (11, Algorithm::German),
];

/// Returns the English words for a word. In scripts without spaces, translates all words that it contains.
pub fn of(text: &str) -> Vec<&'static str> {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::new);
    let mut english: Vec<&'static str> = Vec::new();
    for run in runs(text) {
        let found = if run.contains(is_unspaced) { TABLE.in_run(run) } else { TABLE.of_word(run) };
        for word in found {
            if !english.contains(&word) {
                english.push(word);
            }
        }
    }
    english
}

struct Table {
    words: HashMap<String, Vec<&'static str>>,
    stems: Vec<(Stemmer, HashMap<String, Vec<&'static str>>)>,
    /// Length of the longest word in scripts without spaces, in characters.
    longest_unspaced: usize,
}

impl Table {
    fn new() -> Table {
        let english = Words::english();
        let mut known: HashSet<String> = synonyms::words().map(str::to_owned).collect();
        let rows = || LIST.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').enumerate());
        known.extend(rows().filter_map(|mut row| row.next()).map(|(_, word)| word.to_owned()));
        let mut table = Table {
            words: HashMap::new(),
            stems: STEMMERS.map(|(_, language)| (Stemmer::create(language), HashMap::new())).into(),
            longest_unspaced: 1,
        };
        for mut row in rows() {
            let Some((_, meaning)) = row.next() else { continue };
            for (column, cell) in row {
                for word in cell.split(' ') {
                    let word = folded(word);
                    // Skips words that English also has: they would mislead English queries.
                    if known.contains(&word) || english.is_filler(&word) || english.term(&word).is_none() {
                        continue;
                    }
                    table.add(column, word, meaning);
                }
            }
        }
        table
    }

    fn add(&mut self, column: usize, word: String, meaning: &'static str) {
        if word.contains(is_unspaced) {
            self.longest_unspaced = self.longest_unspaced.max(word.chars().count());
        }
        for ((stemmer, stems), (stemmed, _)) in self.stems.iter_mut().zip(STEMMERS) {
            if stemmed == column {
                insert(stems, stemmer.stem(&word).into_owned(), meaning);
            }
        }
        insert(&mut self.words, word, meaning);
    }

    fn of_word(&self, word: &str) -> Vec<&'static str> {
        let word = folded(word);
        if let Some(exact) = self.words.get(&word) {
            return exact.clone();
        }
        // Also accepts inflected forms, but only in non-Latin scripts: a Latin stem would match too many English words.
        if word.is_ascii() {
            return Vec::new();
        }
        let by_stem = |(stemmer, stems): &(Stemmer, HashMap<String, Vec<&'static str>>)| {
            stems.get(stemmer.stem(&word).as_ref()).cloned()
        };
        self.stems.iter().find_map(by_stem).unwrap_or_default()
    }

    /// Translates the longest known words, from the start.
    fn in_run(&self, run: &str) -> Vec<&'static str> {
        let characters: Vec<char> = run.chars().collect();
        let (mut found, mut at) = (Vec::new(), 0);
        while at < characters.len() {
            let longest = self.longest_unspaced.min(characters.len() - at);
            let known = (1..=longest).rev().find_map(|length| {
                let word: String = characters.get(at..at + length)?.iter().collect();
                Some((length, self.words.get(&word)?))
            });
            if let Some((length, english)) = known {
                found.extend(english);
                at += length;
            } else {
                at += 1;
            }
        }
        found
    }
}

fn insert(words: &mut HashMap<String, Vec<&'static str>>, word: String, meaning: &'static str) {
    let meanings = words.entry(word).or_default();
    if !meanings.contains(&meaning) {
        meanings.push(meaning);
    }
}

/// Converts to lower case and removes accents from Latin letters, which people often omit, and vowel signs from Arabic.
fn folded(word: &str) -> String {
    let is_optional = |c: &char| is_combining_mark(*c) && matches!(*c, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{65f}');
    let word = word.to_lowercase();
    let plain: String = word.nfd().filter(|c| !is_optional(c)).collect();
    plain.nfc().collect()
}

/// Returns the number of words of each language.
#[cfg(test)]
fn sizes() -> Vec<(String, usize)> {
    let mut rows = LIST.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let names = rows.next().unwrap();
    let rows: Vec<Vec<String>> = rows.collect();
    let count =
        |column: usize| rows.iter().map(move |row| row[column].split(' ').filter(|word| !word.is_empty()).count());
    names.into_iter().enumerate().map(|(column, name)| (name, count(column).sum())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_languages_have_each_word() {
        let sizes = sizes();
        assert_eq!(sizes.len(), 12);
        for (language, words) in sizes {
            assert!(words >= 120, "{language} has {words}");
        }
        for line in LIST.lines() {
            assert_eq!(line.split('\t').filter(|cell| !cell.trim().is_empty()).count(), 12, "{line}");
        }
    }

    #[test]
    fn common_words_are_understood() {
        for (word, english) in [
            ("创建", "create"),
            ("खोजें", "search"),
            ("imagenes", "image"),
            ("ملفات", "file"),
            ("supprimer", "delete"),
            ("অনুবাদ", "translate"),
            ("enviar", "send"),
            ("файлов", "file"),
            ("cari", "search"),
            ("موسم", "weather"),
            ("Löschen", "delete"),
        ] {
            assert!(of(word).contains(&english), "{word}: {:?}", of(word));
        }
        assert_eq!(of("删除这个文件夹"), ["delete", "folder"]);
        assert!(of("data").is_empty() && of("list").is_empty() && of("zebra").is_empty());
    }
}
