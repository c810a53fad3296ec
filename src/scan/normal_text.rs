//! Takes disguises off a text before the rules read it: case, width, look-alike letters, invisible characters, spacing.

use unicode_normalization::UnicodeNormalization as _;

use super::finding::is_invisible;

/// A text in the form in which rules read it. Each byte knows where in the original it came from.
#[derive(Debug, Default)]
pub(super) struct NormalText {
    pub text: String,
    origin: Vec<u32>,
    original_length: usize,
}

impl NormalText {
    /// Lower case, compatibility forms, one space between words, no invisible characters, look-alike letters folded.
    pub(super) fn of(original: &str) -> NormalText {
        let mut normal = NormalText {
            original_length: original.len(),
            ..NormalText::default()
        };
        for (start, word) in words(original) {
            let latin = word.chars().any(|char| char.is_ascii_alphabetic());
            for (at, char) in word.char_indices() {
                normal.push_char(start + at, char, latin);
            }
            let rest = original.get(start + word.len()..).unwrap_or_default();
            let gap = rest.len() - rest.trim_start().len();
            // Two, where words of spaced letters end; `join_spaced_letters` leaves one.
            for _ in 0..gap.min(2) {
                normal.push(start + word.len(), ' ');
            }
        }
        normal.join_spaced_letters();
        normal
    }

    /// The bytes of the original that the bytes `range` here came from.
    pub(super) fn in_original(&self, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let at = |index: usize| self.origin.get(index).map_or(self.original_length, |at| *at as usize);
        at(range.start)..at(range.end)
    }

    fn push_char(&mut self, at: usize, char: char, among_latin: bool) {
        if is_invisible(char) {
            return;
        }
        for char in std::iter::once(char).nfkc().flat_map(char::to_lowercase) {
            let folded = if among_latin { fold(char) } else { char };
            self.push(at, folded);
        }
    }

    fn push(&mut self, at: usize, char: char) {
        self.text.push(char);
        self.origin.resize(self.text.len(), u32::try_from(at).unwrap_or(u32::MAX));
    }

    /// `i g n o r e` becomes `ignore`: five or more single letters with one separator between each two.
    fn join_spaced_letters(&mut self) {
        const FEWEST: usize = 5;
        let bytes = self.text.as_bytes();
        let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
        let gap = |at: usize| bytes.get(at).is_some_and(|byte| b" .-_*".contains(byte));
        let mut joined: Option<(String, Vec<u32>)> = None;
        let mut at = 0;
        while at < bytes.len() {
            let mut end = at;
            let starts = letter(at) && !(at > 0 && letter(at - 1));
            while starts && letter(end) && gap(end + 1) && letter(end + 2) && !letter(end + 3) {
                end += 2;
            }
            let (text, origin) = joined.get_or_insert_with(Default::default);
            let step = if end - at >= 2 * (FEWEST - 1) { 2 } else { 1 };
            let last = if step == 2 { end } else { at };
            // Whole characters only: a letter is one byte, anything else is copied byte by byte below.
            let taken = (at..=last).step_by(step);
            for index in taken {
                copy(bytes, &self.origin, index, text, origin);
            }
            at = last + 1;
            // The rest of a character that takes several bytes.
            while at < bytes.len() && !self.text.is_char_boundary(at) {
                at += 1;
            }
        }
        if let Some((text, origin)) = joined {
            self.text = text;
            self.origin = origin;
        }
    }
}

/// Appends the character that starts at byte `at`.
fn copy(bytes: &[u8], from: &[u32], at: usize, text: &mut String, origin: &mut Vec<u32>) {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = match rest.first() {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        _ => 1,
    };
    let char = rest.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    if char == " " && text.ends_with(' ') {
        return;
    }
    text.push_str(char);
    origin.resize(text.len(), from.get(at).copied().unwrap_or_default());
}

/// The words of a text with where they start; whitespace of any length lies between two.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// The Latin letter that a letter of another alphabet looks like. Only the pairs that look the same in common fonts.
pub(super) fn fold(char: char) -> char {
    match char {
        'а' | 'ɑ' | 'α' => 'a',
        'в' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' | 'ҽ' => 'e',
        'ɡ' => 'g',
        'һ' | 'н' => 'h',
        'і' | 'ι' | 'ı' | 'ӏ' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'п' | 'η' => 'n',
        'о' | 'ο' | 'σ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ѡ' | 'ω' | 'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        '‘' | '’' | '`' | '´' => '\'',
        '“' | '”' | '„' => '"',
        '‐' | '‑' | '–' | '—' | '−' => '-',
        other => other,
    }
}

/// An identifier as words: `contentFromReading_ssh-id` becomes `content from reading ssh id`.
pub(super) fn identifier_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    let mut before = ' ';
    for char in name.chars() {
        if matches!(char, '_' | '-' | '.' | '/' | ':') {
            words.push(' ');
        } else {
            if char.is_uppercase() && before.is_lowercase() {
                words.push(' ');
            }
            words.extend(char.to_lowercase());
        }
        before = char;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_come_off() {
        for (disguised, plain) in [
            ("Ignore\u{200b}  ALL\n\nprevious", "ignore all previous"),
            ("ｉｇｎｏｒｅ", "ignore"),
            ("ign\u{43e}re", "ignore"),
            ("i g n o r e   all", "ignore all"),
            ("i.g.n.o.r.e", "ignore"),
            ("Don’t", "don't"),
            ("a b c", "a b c"),
            ("Игнорируй всё", "игнорируй всё"),
            ("naïve café 東京", "naïve café 東京"),
            ("", ""),
        ] {
            assert_eq!(NormalText::of(disguised).text, plain, "{disguised:?}");
        }
    }

    #[test]
    fn a_match_is_found_again_in_the_original() {
        let original = "Gets é.\n\u{200b}IGN\u{43e}RE  i g n o r e this";
        let normal = NormalText::of(original);
        let at = normal.text.find("ignore ignore").unwrap();
        let range = normal.in_original(at..at + 13);
        assert_eq!(&original[range], "IGN\u{43e}RE  i g n o r e");
    }

    #[test]
    fn identifiers_are_read_as_words() {
        assert_eq!(identifier_words("contentFromReading_ssh-id"), "content from reading ssh id");
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::NormalText;

    proptest! {
        #[test]
        fn any_text_is_read_and_every_range_is_one_of_the_original(text in "\\PC{0,80}|[a-z \\u{200b}é]{0,60}") {
            let normal = NormalText::of(&text);
            for (at, _) in normal.text.char_indices() {
                let range = normal.in_original(at..normal.text.len());
                prop_assert!(text.get(range.clone()).is_some(), "{range:?}");
            }
        }
    }
}
