//! Estimates how many tokens a text takes in a model's context.
//!
//! The tokenizer o200k first splits a text into pieces, and then each piece into tokens: a word with the space or mark
//! before it, up to three digits, several marks, several spaces, a line break. The estimate finds the same pieces and
//! adds the average number of tokens of a piece of its kind and length. The averages were measured with `gpt-tokenizer`
//! on 2.9 MB: the definitions and queries of five sets of tools, files, JSON, logs and lists as tools return them, and
//! the messages of programs in 26 languages. Words in other alphabets have an average per letter.
//!
//! `tests/data/tokens` has samples with exact counts.

use std::str::Chars;

/// The measured error, for people. A test checks it.
pub const ERROR: &str = "Compared with the tokenizer o200k, the estimate differs by at most 5 % in total for each kind of \
text that was measured: definitions of tools, arguments, and results in English, JSON and code. For a text in another \
language it can differ by 25 %.";

/// Returns the estimated number of o200k tokens.
pub fn estimate(text: &str) -> u64 {
    let mut scan = Scan {
        rest: text.chars(),
        before: Before::Nothing,
        follows_digit: false,
        sums: Sums::default(),
    };
    while let Some(kind) = scan.next_kind() {
        match kind {
            Kind::Lower | Kind::Upper => scan.word(),
            Kind::Digit => scan.number(),
            Kind::Space | Kind::Line => scan.spaces(),
            Kind::Mark => scan.marks(),
            Kind::Other => scan.other(),
        }
    }
    scan.sums.tokens()
}

/// Average tokens of a piece by its length in letters, in hundredths, and of each further letter.
struct Averages {
    by_length: &'static [u16],
    further: u16,
}

impl Averages {
    fn of(&self, length: usize) -> u64 {
        let known = self.by_length.get(length.saturating_sub(1)).copied();
        let last = self.by_length.last().copied().unwrap_or_default();
        let further = length.saturating_sub(self.by_length.len()) as u64;
        u64::from(known.unwrap_or(last)) + if known.is_some() { 0 } else { further * u64::from(self.further) }
    }
}

/// The averages of one kind of word: after a space, after nothing or several marks, and after one mark.
struct WordAverages {
    spaced: Averages,
    bare: Averages,
    marked: Averages,
}

impl WordAverages {
    fn of(&self, before: Before, length: usize) -> u64 {
        match before {
            Before::Space => self.spaced.of(length),
            Before::Nothing => self.bare.of(length),
            Before::Mark | Before::Apostrophe => self.marked.of(length),
        }
    }
}

const fn averages(by_length: &'static [u16], further: u16) -> Averages {
    Averages { by_length, further }
}

/// `word`
const LOWER: WordAverages = WordAverages {
    spaced: averages(
        &[
            100, 100, 100, 100, 101, 102, 103, 104, 108, 109, 110, 113, 115, 118, 128,
        ],
        22,
    ),
    bare: averages(
        &[
            100, 100, 107, 102, 104, 104, 109, 122, 140, 120, 115, 150, 200, 260, 290,
        ],
        28,
    ),
    marked: averages(
        &[
            100, 108, 146, 125, 142, 135, 145, 160, 180, 185, 195, 240, 215, 220, 230,
        ],
        25,
    ),
};
/// `Word`
const CAPITALISED: WordAverages = WordAverages {
    spaced: averages(
        &[
            100, 100, 102, 103, 106, 111, 113, 130, 132, 142, 180, 150, 140, 160, 200,
        ],
        25,
    ),
    bare: averages(
        &[
            100, 108, 115, 112, 108, 106, 114, 117, 118, 115, 140, 160, 190, 200, 250,
        ],
        28,
    ),
    marked: averages(
        &[
            118, 170, 175, 140, 205, 225, 230, 225, 240, 260, 260, 280, 300, 320, 340,
        ],
        30,
    ),
};
/// `WORD`
const UPPER: WordAverages = WordAverages {
    spaced: averages(
        &[
            100, 100, 114, 120, 142, 152, 150, 200, 200, 230, 290, 400, 420, 440, 460,
        ],
        35,
    ),
    bare: averages(
        &[
            100, 103, 150, 170, 200, 215, 220, 300, 295, 330, 350, 360, 400, 430, 460,
        ],
        35,
    ),
    marked: averages(
        &[
            110, 128, 150, 195, 170, 175, 190, 200, 270, 260, 270, 280, 300, 320, 340,
        ],
        30,
    ),
};
/// A word without accents in a text with accents, after a space and otherwise.
const FOREIGN_SPACED: Averages = averages(
    &[
        100, 100, 100, 104, 114, 127, 136, 152, 170, 190, 205, 220, 240, 255, 270,
    ],
    28,
);
const FOREIGN_BARE: Averages = averages(
    &[
        100, 103, 107, 124, 150, 160, 187, 205, 230, 255, 270, 310, 370, 380, 400,
    ],
    35,
);
/// Several marks, such as `":{"`.
const MARKS: Averages = averages(&[100, 100, 103, 130, 175, 235, 290, 340, 390], 45);
/// A word with accents, and one with several capital letters and lower-case ones: the start, and each letter.
const ACCENTED: (u64, u64) = (35, 24);
const MIXED: (u64, u64) = (40, 62);
/// Each letter after the first one of a word that follows a digit, as in `7fe03a`.
const AFTER_DIGIT: u64 = 18;
/// A line of the same mark, such as `-----`, has a token for each of these.
const LINE_LENGTH: usize = 16;

/// Returns the average tokens of a character that is neither ASCII nor Latin.
fn of_character(character: char) -> u64 {
    match character {
        '\u{0400}'..='\u{052f}' => 27,                           // Cyrillic
        '\u{0370}'..='\u{03ff}' => 42,                           // Greek
        '\u{0530}'..='\u{058f}' => 38,                           // Armenian
        '\u{0590}'..='\u{05ff}' => 45,                           // Hebrew
        '\u{0600}'..='\u{07ff}' => 38,                           // Arabic
        '\u{0900}'..='\u{097f}' => 35,                           // Devanagari
        '\u{0980}'..='\u{0dff}' | '\u{0e00}'..='\u{0eff}' => 41, // other scripts of India, Thai, Lao
        '\u{10a0}'..='\u{10ff}' => 40,                           // Georgian
        '\u{3040}'..='\u{30ff}' => 67,                           // Japanese syllables
        '\u{3400}'..='\u{9fff}' => 78,                           // Chinese characters
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => 69, // Korean
        '\u{2000}'..='\u{2fff}' | '\u{3000}'..='\u{303f}' => 90, // punctuation and symbols
        '\u{1f000}'..='\u{1ffff}' => 165,                        // emoji
        _ => 120,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
    Space,
    Line,
    Mark,
    Other,
}

impl Kind {
    fn of(character: char) -> Kind {
        match character {
            'a'..='z' => Kind::Lower,
            'A'..='Z' => Kind::Upper,
            '0'..='9' => Kind::Digit,
            ' ' | '\t' => Kind::Space,
            '\r' | '\n' => Kind::Line,
            '\0'..='\x7f' => Kind::Mark,
            '×' | '÷' => Kind::Other,
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' if character.is_uppercase() => Kind::Upper,
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Kind::Lower,
            _ => Kind::Other,
        }
    }

    fn is_letter(self) -> bool {
        matches!(self, Kind::Lower | Kind::Upper)
    }
}

/// The text before a word, which may be in one piece with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Space,
    Mark,
    Apostrophe,
}

struct Scan<'a> {
    rest: Chars<'a>,
    before: Before,
    follows_digit: bool,
    sums: Sums,
}

impl Scan<'_> {
    fn next_kind(&self) -> Option<Kind> {
        self.rest.clone().next().map(Kind::of)
    }

    /// Reads the characters of one kind; returns their number.
    fn run(&mut self, kind: Kind) -> usize {
        let mut count = 0;
        while self.next_kind() == Some(kind) {
            self.rest.next();
            count += 1;
        }
        count
    }

    fn word(&mut self) {
        let bytes = self.rest.as_str().len();
        let upper = self.run(Kind::Upper);
        let lower = self.run(Kind::Lower);
        let length = upper + lower;
        let accents = bytes - self.rest.as_str().len() - length;
        let before = std::mem::replace(&mut self.before, Before::Nothing);
        let follows_digit = std::mem::take(&mut self.follows_digit);
        self.sums.letters += length as u64;
        self.sums.accents += accents as u64;
        if accents > 0 {
            self.sums.certain += if length == 1 { 100 } else { ACCENTED.0 + ACCENTED.1 * length as u64 };
            return;
        }
        // The end of `don't` is one piece with the word.
        if before == Before::Apostrophe && length <= 2 {
            return;
        }
        let mut english = match (upper, lower) {
            (0, _) => LOWER.of(before, length),
            (_, 0) => UPPER.of(before, length),
            (1, _) => CAPITALISED.of(before, length),
            _ => MIXED.0 + MIXED.1 * length as u64,
        };
        if follows_digit {
            english += AFTER_DIGIT * (length as u64 - 1);
        }
        let foreign = if before == Before::Space { &FOREIGN_SPACED } else { &FOREIGN_BARE };
        self.sums.english += english;
        self.sums.foreign += if upper > 1 { english } else { english.max(foreign.of(length)) };
    }

    fn number(&mut self) {
        // A space before it is a piece of its own.
        let space = usize::from(self.before == Before::Space);
        self.sums.certain += 100 * (space + self.run(Kind::Digit).div_ceil(3)) as u64;
        (self.before, self.follows_digit) = (Before::Nothing, true);
    }

    fn spaces(&mut self) {
        let mut has_lines = false;
        let spaces = loop {
            let spaces = self.run(Kind::Space);
            if self.run(Kind::Line) == 0 {
                break spaces;
            }
            has_lines = true;
        };
        // The last space is one piece with a word or with marks.
        let is_separate = spaces > 1 || spaces == 1 && self.next_kind().is_none();
        self.sums.certain += 100 * (u64::from(has_lines) + u64::from(is_separate));
        self.before = if spaces > 0 { Before::Space } else { Before::Nothing };
        self.follows_digit = false;
    }

    fn marks(&mut self) {
        let text = self.rest.as_str();
        let length = self.run(Kind::Mark);
        let mut marks = text.bytes().take(length);
        let first = marks.next().unwrap_or_default();
        self.follows_digit = false;
        if length == 1 && self.before != Before::Space && self.next_kind().is_some_and(Kind::is_letter) {
            self.before = if first == b'\'' { Before::Apostrophe } else { Before::Mark };
            return;
        }
        let is_line = length > 3 && marks.all(|mark| mark == first);
        self.sums.certain += if is_line { 100 * (1 + length / LINE_LENGTH) as u64 } else { MARKS.of(length) };
        self.run(Kind::Line);
        self.before = Before::Nothing;
    }

    fn other(&mut self) {
        self.sums.certain += self.rest.next().map_or(0, of_character);
        self.before = Before::Nothing;
    }
}

/// Sums in hundredths of a token.
#[derive(Default)]
struct Sums {
    certain: u64,
    /// The words without accents, as English ones and as foreign ones.
    english: u64,
    foreign: u64,
    letters: u64,
    accents: u64,
}

impl Sums {
    fn tokens(&self) -> u64 {
        // From one accent in a hundred letters on, the text is foreign.
        let foreign = (100 * self.accents).min(self.letters);
        let words = (self.english * (self.letters - foreign) + self.foreign * foreign) / self.letters.max(1);
        (self.certain + words + 50) / 100
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    /// A text with its exact number of tokens.
    #[derive(Deserialize)]
    struct Sample {
        group: String,
        text: Option<String>,
        file: Option<String>,
        tokens: u64,
    }

    fn samples() -> Vec<(String, String, u64)> {
        let text = |sample: &Sample| match &sample.text {
            Some(text) => text.clone(),
            None => {
                let file = sample.file.as_deref().unwrap();
                std::fs::read_to_string(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
            }
        };
        let lines = include_str!("../../tests/data/tokens/samples.jsonl").lines();
        let samples = lines.map(|line| serde_json::from_str::<Sample>(line).unwrap());
        samples.map(|sample| (sample.group.clone(), text(&sample), sample.tokens)).collect()
    }

    #[test]
    fn the_estimate_of_each_kind_of_text_is_close_to_the_exact_count() {
        let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (group, text, tokens) in samples() {
            let sums = groups.entry(group).or_default();
            sums.0 += tokens;
            sums.1 += estimate(&text);
        }
        assert!(groups.len() > 20, "{} groups", groups.len());
        for (group, (exact, estimated)) in groups {
            let most = if group.starts_with("language: ") { 25 } else { 5 };
            assert!(
                100 * exact.abs_diff(estimated) <= most * exact,
                "{group}: {exact} tokens, estimated as {estimated}"
            );
        }
    }

    #[test]
    fn a_text_is_split_as_the_tokenizer_splits_it() {
        for (text, tokens) in [
            ("", 0),
            ("a", 1),
            ("read a file", 3),
            ("don't", 1),
            ("1234567", 3),
            ("--------------------", 2),
            ("\n\n\n", 1),
        ] {
            assert_eq!(estimate(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn odd_texts_have_an_estimate() {
        for text in [" ", "\u{0}", "×", "\u{10ffff}", "é", "\t\t1", "a'", "🎉"] {
            assert!((1..=3).contains(&estimate(text)), "{text:?}: {}", estimate(text));
        }
        assert!(estimate(&"x".repeat(100_000)) > 10_000);
    }
}
