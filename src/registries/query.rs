//! The requests for the user's words, and the order of the results.

use std::collections::BTreeSet;

use crate::registries::record::Record;

/// Most words of a search.
const MOST_WORDS: usize = 4;

/// The words of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    words: Vec<String>,
}

impl Query {
    pub(crate) fn new(text: &str) -> Query {
        let words = text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.' | '/'));
        let words = words.filter(|word| !word.is_empty()).map(|word| word.chars().take(64).collect::<String>());
        Query {
            words: words.map(|word| word.to_lowercase()).take(MOST_WORDS).collect(),
        }
    }

    /// The searches to request. A registry compares each with names only, and lists names in alphabetical order: a common
    /// word needs searches that find it at the start of a name or as the publisher.
    pub(crate) fn searches(&self) -> Vec<String> {
        let joined = self.words.join("-");
        let mut searches = match self.words.as_slice() {
            [] => vec![String::new()],
            [word] if word.contains('/') => vec![word.clone()],
            [word] => vec![word.clone(), format!("/{word}"), format!(".{word}/")],
            words => std::iter::once(joined).chain(words.iter().cloned()).collect(),
        };
        let mut seen = BTreeSet::new();
        searches.retain(|search| seen.insert(search.clone()));
        searches
    }

    /// How well a record fits; 0 if a word occurs nowhere in it.
    fn score(&self, record: &Record) -> u32 {
        let lower = |text: &str| text.to_lowercase();
        let (space, last) = record.name.split_once('/').unwrap_or(("", &record.name));
        let (space, last) = (lower(space), lower(last));
        // Most publishers have a namespace at GitHub, which says nothing about their servers.
        let space = space.strip_prefix("io.github.").unwrap_or(&space);
        let (title, description) = (lower(&record.title), lower(&record.description));
        let mut total = 0;
        for word in &self.words {
            let is_part = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
            let score = [
                (100, lower(&record.name) == *word || last == *word),
                (30, is_part(&last)),
                (25, space.rsplit('.').next() == Some(word)),
                (20, is_part(&title)),
                (10, is_part(&description)),
                (5, last.contains(word.as_str()) || space.contains(word.as_str())),
                (5, word.contains('/') && lower(&record.name).contains(word.as_str())),
                (3, title.contains(word.as_str()) || description.contains(word.as_str())),
            ];
            let score: u32 = score.iter().filter(|(_, fits)| *fits).map(|(points, _)| points).sum();
            if score == 0 {
                return 0;
            }
            total += score;
        }
        if record.is_deprecated() { total.div_ceil(4) } else { total.max(1) }
    }

    /// The records that fit, best first, each name once.
    pub(crate) fn ranked(&self, records: Vec<Record>) -> Vec<Record> {
        let mut seen = BTreeSet::new();
        let fresh = records.into_iter().filter(|record| seen.insert(record.name.clone()));
        let mut scored: Vec<(u32, Record)> =
            fresh.map(|record| (self.score(&record), record)).filter(|(score, _)| *score > 0).collect();
        scored.sort_by(|(one, a), (other, b)| other.cmp(one).then_with(|| a.name.cmp(&b.name)));
        scored.into_iter().map(|(_, record)| record).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(name: &str, description: &str) -> Record {
        Record::read(&json!({"name": name, "description": description})).unwrap()
    }

    #[test]
    fn a_word_is_searched_where_the_registry_would_hide_it() {
        assert_eq!(Query::new("GitHub").searches(), ["github", "/github", ".github/"]);
        assert_eq!(Query::new("brave search").searches(), ["brave-search", "brave", "search"]);
        assert_eq!(Query::new("io.github.a/b").searches(), ["io.github.a/b"]);
        assert_eq!(Query::new("a a").searches(), ["a-a", "a"]);
        assert_eq!(Query::new("; & ").searches(), [""]);
    }

    #[test]
    fn every_word_must_occur_and_names_count_more_than_descriptions() {
        let records = vec![
            record("io.github.x/other", "A server for github issues"),
            record("io.github.y/none", "weather"),
            record("io.github.github/github-mcp-server", "Official"),
            record("io.github.z/github-issues", "x"),
            record("io.github.z/github-issues", "the same again"),
        ];
        let names = |text: &str| {
            let ranked = Query::new(text).ranked(records.clone());
            ranked.into_iter().map(|record| record.name).collect::<Vec<_>>()
        };
        assert_eq!(
            names("github"),
            [
                "io.github.github/github-mcp-server",
                "io.github.z/github-issues",
                "io.github.x/other"
            ]
        );
        assert_eq!(names("github issues"), ["io.github.z/github-issues", "io.github.x/other"]);
        assert_eq!(names("z/github"), ["io.github.z/github-issues"]);
        assert!(names("absent").is_empty());
        assert_eq!(names("").len(), 4);
    }
}
