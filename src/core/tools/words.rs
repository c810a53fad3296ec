//! Text to search terms: identifiers fall into their words, words to their stems.

use bm25::Tokenizer;
use rust_stemmers::{Algorithm, Stemmer};

/// Splits the way tool names are written (`snake_case`, `camelCase`, `kebab-case`), lower-cases and stems.
pub struct Words {
    stemmer: Stemmer,
}

/// Words that say nothing about a tool.
const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "for", "from", "i", "if", "in", "is", "it", "me", "my",
    "of", "on", "or", "that", "the", "their", "this", "to", "was", "will", "with", "you", "your",
];

impl Words {
    /// English stems.
    pub fn english() -> Words {
        Words {
            stemmer: Stemmer::create(Algorithm::English),
        }
    }
}

impl Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for run in text.split(|c: char| !c.is_alphanumeric()) {
            for word in camel_words(run) {
                let word = word.to_lowercase();
                if !STOP_WORDS.contains(&word.as_str()) {
                    words.push(self.stemmer.stem(&word).into_owned());
                }
            }
        }
        words
    }
}

/// `listPullRequests` → list, Pull, Requests; `HTTPServer` → HTTP, Server.
fn camel_words(run: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let characters: Vec<(usize, char)> = run.char_indices().collect();
    let mut start = 0;
    for window in characters.windows(2) {
        let &[(previous_at, previous), (at, current)] = window else { continue };
        let next_is_lower = run[at..].chars().nth(1).is_some_and(char::is_lowercase);
        let boundary = (previous.is_lowercase() && current.is_uppercase())
            || (previous.is_uppercase() && current.is_uppercase() && next_is_lower);
        if boundary && previous_at >= start {
            words.push(&run[start..at]);
            start = at;
        }
    }
    if start < run.len() {
        words.push(&run[start..]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_fall_into_their_words() {
        let words = Words::english();
        assert_eq!(words.tokenize("listPullRequests"), ["list", "pull", "request"]);
        assert_eq!(words.tokenize("list_pull_requests"), ["list", "pull", "request"]);
        assert_eq!(words.tokenize("HTTPServer-v2"), ["http", "server", "v2"]);
        assert_eq!(words.tokenize("Größe der Äpfel"), ["größe", "der", "äpfel"]);
        assert!(words.tokenize("the of").is_empty());
    }
}
