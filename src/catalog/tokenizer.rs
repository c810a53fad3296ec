//! Splits text into search terms: identifiers into words, and words into stems.

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::char::is_combining_mark;

/// Splits identifiers (`snake_case`, `camelCase`, `kebab-case`), converts to lower case and stems. Scripts without
/// spaces are split into pairs of characters.
pub struct Words {
    stemmer: Stemmer,
}

/// Words that carry no meaning for a search, sorted.
const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "for", "from", "i", "if", "in", "is", "it", "me", "my",
    "of", "on", "or", "that", "the", "their", "this", "to", "was", "will", "with", "you", "your",
];

/// Words that only belong to the wording of a request, and what an apostrophe leaves of a word (`I'm`, `doesn't`), sorted.
/// A search leaves them out.
const ASKING_WORDS: &[&str] = &[
    "able",
    "about",
    "all",
    "also",
    "am",
    "any",
    "aren",
    "been",
    "being",
    "both",
    "but",
    "could",
    "couldn",
    "d",
    "did",
    "didn",
    "do",
    "does",
    "doesn",
    "don",
    "done",
    "each",
    "every",
    "following",
    "give",
    "got",
    "had",
    "has",
    "hasn",
    "have",
    "haven",
    "he",
    "help",
    "her",
    "here",
    "his",
    "how",
    "include",
    "including",
    "into",
    "isn",
    "its",
    "just",
    "let",
    "like",
    "ll",
    "m",
    "make",
    "need",
    "no",
    "not",
    "only",
    "our",
    "out",
    "please",
    "provide",
    "re",
    "s",
    "she",
    "should",
    "shouldn",
    "so",
    "some",
    "such",
    "sure",
    "t",
    "tell",
    "than",
    "then",
    "there",
    "these",
    "they",
    "those",
    "up",
    "us",
    "use",
    "using",
    "ve",
    "via",
    "want",
    "wasn",
    "we",
    "what",
    "whatever",
    "when",
    "where",
    "whether",
    "which",
    "who",
    "whom",
    "why",
    "won",
    "would",
    "wouldn",
];

impl Words {
    /// Creates a tokenizer with the English stemmer.
    pub fn english() -> Words {
        Words {
            stemmer: Stemmer::create(Algorithm::English),
        }
    }

    /// Whether a word only belongs to the wording of a question: `please`, `which`.
    pub fn is_filler(&self, word: &str) -> bool {
        ASKING_WORDS.binary_search(&word).is_ok()
    }

    /// Returns the term for a word returned by [`split`]; `None` for a stop word.
    pub fn term(&self, word: &str) -> Option<String> {
        STOP_WORDS.binary_search(&word).is_err().then(|| self.stemmer.stem(word).into_owned())
    }
}

/// Returns the runs of letters and digits in a text. A run holds one or more words.
pub fn runs(text: &str) -> impl Iterator<Item = &str> {
    Runs(text).filter(|run| run.contains(char::is_alphanumeric))
}

/// The parts of a text between separators.
struct Runs<'a>(&'a str);

impl<'a> Iterator for Runs<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = self.0.find(|c| !separates(c))?;
        let rest = self.0.get(start..)?;
        // Nearly all text is ASCII, which needs no decoding.
        let end = match rest.bytes().position(|byte| !byte.is_ascii_alphanumeric()) {
            None => rest.len(),
            Some(at) if rest.as_bytes().get(at).is_some_and(u8::is_ascii) => at,
            Some(_) => rest.find(separates).unwrap_or(rest.len()),
        };
        let (run, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(run)
    }
}

fn separates(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_alphanumeric();
    }
    // Combining marks such as the virama of Hindi and Bengali belong to words, although they are not letters.
    !c.is_alphanumeric() && !is_combining_mark(c) && c != '\u{200c}' && c != '\u{200d}'
}

/// Whether a run is one word in lower case, which [`split`] would return unchanged.
pub fn is_plain_word(run: &str) -> bool {
    run.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Returns the words of a text in lower case.
pub fn split(text: &str) -> impl Iterator<Item = String> {
    runs(text)
        .flat_map(words_of)
        .flat_map(|word| if word.starts_with(is_unspaced) { pairs(word) } else { vec![word.to_lowercase()] })
}

/// Whether a character is Han, kana or Hangul, where spaces do not separate words.
pub fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// `天气预报` → 天气, 气预, 预报.
fn pairs(word: &str) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    if characters.len() < 2 {
        return vec![word.to_owned()];
    }
    characters.windows(2).map(|pair| pair.iter().collect()).collect()
}

/// `listPullRequests` → list, Pull, Requests; `HTTPServer` → HTTP, Server; `12306余票` → 12306, 余票.
fn words_of(run: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut characters = run.char_indices().peekable();
    while let Some((_, previous)) = characters.next() {
        let Some(&(at, current)) = characters.peek() else { break };
        let next_is_lower = || run[at..].chars().nth(1).is_some_and(char::is_lowercase);
        let boundary = (previous.is_lowercase() && current.is_uppercase())
            || (previous.is_uppercase() && current.is_uppercase() && next_is_lower())
            || is_unspaced(previous) != is_unspaced(current);
        if boundary {
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

    fn terms(text: &str) -> Vec<String> {
        let words = Words::english();
        split(text).filter_map(|word| words.term(&word)).collect()
    }

    #[test]
    fn identifiers_fall_into_their_words() {
        assert_eq!(terms("listPullRequests"), ["list", "pull", "request"]);
        assert_eq!(terms("list_pull_requests"), ["list", "pull", "request"]);
        assert_eq!(terms("HTTPServer-v2"), ["http", "server", "v2"]);
        assert_eq!(terms("Größe der Äpfel"), ["größe", "der", "äpfel"]);
        assert!(terms("the of").is_empty());
    }

    #[test]
    fn plain_words_are_not_split() {
        for word in ["list", "v2", "2fa"] {
            assert!(is_plain_word(word) && split(word).eq([word]), "{word}");
        }
        assert!(["List", "a_b", "größe", "天气"].into_iter().all(|word| !is_plain_word(word)));
        assert!(STOP_WORDS.is_sorted() && ASKING_WORDS.is_sorted());
    }

    #[test]
    fn text_without_spaces_falls_into_pairs() {
        assert_eq!(terms("查询12306余票 API"), ["查询", "12306", "余票", "api"]);
        assert_eq!(terms("天气预报"), ["天气", "气预", "预报"]);
        assert_eq!(terms("書"), ["書"]);
    }

    #[test]
    fn words_of_indian_scripts_stay_whole() {
        assert_eq!(terms("प्रोजेक्ट খুঁজুন"), ["प्रोजेक्ट", "খুঁজুন"]);
    }
}
