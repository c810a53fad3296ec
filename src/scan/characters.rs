//! Finds characters that show nothing or change how a text is shown, and text that is pushed out of sight.

use std::ops::Range;

use super::finding::Severity::{self, Danger, Warning};
use super::finding::is_invisible;

/// A rule about characters.
pub(super) struct CharacterRule {
    pub id: &'static str,
    pub severity: Severity,
    pub reason: &'static str,
    /// Where in a text it finds something first.
    pub find: fn(&str) -> Option<Range<usize>>,
}

pub(super) const CHARACTER_RULES: &[CharacterRule] = &[
    CharacterRule {
        id: "hidden-text",
        severity: Danger,
        reason: "It has characters that no window shows and that spell out text for the AI client.",
        find: hidden_text,
    },
    CharacterRule {
        id: "invisible-characters",
        severity: Danger,
        reason: "It has invisible characters inside of words, which hide text from people and from filters.",
        find: |text| first(text, zero_width),
    },
    CharacterRule {
        id: "text-direction",
        severity: Danger,
        reason: "It has characters that reverse the order of the text, so that you read something other than what is there.",
        find: |text| first(text, |_, char, _| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
    },
    CharacterRule {
        id: "terminal-escape",
        severity: Danger,
        reason: "It has terminal control sequences, which can hide text and change what a terminal shows.",
        find: |text| first(text, |_, char, _| matches!(char, '\u{1b}' | '\u{9b}' | '\u{90}' | '\u{9d}')),
    },
    CharacterRule {
        id: "control-characters",
        severity: Warning,
        reason: "It has control characters or direction marks, which do not belong in a description.",
        find: |text| first(text, |_, char, _| control(char)),
    },
    CharacterRule {
        id: "pushed-out-of-sight",
        severity: Danger,
        reason: "A long run of spaces or empty lines pushes the text that follows out of sight.",
        find: pushed_out_of_sight,
    },
];

/// Characters of one text with their neighbours; the first that `wanted` accepts.
fn first(text: &str, wanted: impl Fn(Option<char>, char, Option<char>) -> bool) -> Option<Range<usize>> {
    // Most texts are plain ASCII without controls.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')) {
        return None;
    }
    let mut chars = text.char_indices().peekable();
    let mut before = None;
    while let Some((at, char)) = chars.next() {
        if wanted(before, char, chars.peek().map(|(_, after)| *after)) {
            return Some(at..at + char.len_utf8());
        }
        before = Some(char);
    }
    None
}

/// Tag characters (except in flags), supplementary variation selectors, private use.
fn hidden_text(text: &str) -> Option<Range<usize>> {
    let mut in_flag = false;
    for (at, char) in text.char_indices() {
        let tag = matches!(char, '\u{e0000}'..='\u{e007f}');
        if char == '\u{1f3f4}' {
            in_flag = true;
        } else if !tag {
            in_flag = false;
        }
        let selector = matches!(char, '\u{e0100}'..='\u{e01ef}');
        let private = matches!(char, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
        if (tag && !in_flag) || selector || private {
            return Some(at..at + char.len_utf8());
        }
    }
    None
}

/// Invisible where no script needs it: joiners are part of emoji and of Arabic, Persian and Indic writing.
fn zero_width(before: Option<char>, char: char, after: Option<char>) -> bool {
    match char {
        '\u{200c}' | '\u{200d}' => {
            let needs = |char: Option<char>| {
                char.is_some_and(|char| {
                    matches!(char, '\u{600}'..='\u{dff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
                        || matches!(char, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}')
                })
            };
            !(needs(before) || needs(after))
        }
        // A byte order mark may begin a text.
        '\u{feff}' => before.is_some(),
        '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{180e}' | '\u{34f}' => true,
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}' | '\u{fff9}'..='\u{fffb}' => true,
        _ => false,
    }
}

fn control(char: char) -> bool {
    match char {
        '\n' | '\r' | '\t' | '\u{1b}' | '\u{9b}' | '\u{90}' | '\u{9d}' | '\u{85}' => false,
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{ad}' => true,
        char => char.is_control() && is_invisible(char),
    }
}

/// Spaces, or line breaks, more in a row than anyone writes, with text after them.
fn pushed_out_of_sight(text: &str) -> Option<Range<usize>> {
    const SPACES: usize = 100;
    const LINES: usize = 15;
    let mut start = 0;
    let (mut spaces, mut lines) = (0, 0);
    for (at, char) in text.char_indices() {
        if char == '\n' {
            lines += 1;
            spaces = 0;
        } else if char.is_whitespace() {
            spaces += 1;
        } else {
            if spaces >= SPACES || lines >= LINES {
                return Some(at..at + char.len_utf8());
            }
            (spaces, lines, start) = (0, 0, at);
        }
    }
    let _ = start;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&'static str> {
        CHARACTER_RULES.iter().filter(|rule| (rule.find)(text).is_some()).map(|rule| rule.id).collect()
    }

    #[test]
    fn each_rule_finds_its_characters_and_spares_honest_writing() {
        let spaces = format!("a{}b", " ".repeat(200));
        let lines = format!("a{}b", "\n".repeat(30));
        for (rule, text) in [
            ("hidden-text", "a\u{e0041}"),
            ("hidden-text", "a\u{e0112}"),
            ("hidden-text", "a\u{e123}"),
            ("invisible-characters", "re\u{200b}ad"),
            ("invisible-characters", "markdown\u{200d} and"),
            ("invisible-characters", "a\u{feff}b"),
            ("text-direction", "a\u{202e}b"),
            ("text-direction", "a\u{2067}b"),
            ("terminal-escape", "a\u{1b}[8m"),
            ("terminal-escape", "a\u{9b}8m"),
            ("control-characters", "a\u{7}b"),
            ("control-characters", "a\u{200f}b"),
            ("pushed-out-of-sight", &spaces),
            ("pushed-out-of-sight", &lines),
        ] {
            assert_eq!(found(text), [rule], "{text:?}");
        }
        let indented = format!("a\n{}b\n{}c", " ".repeat(40), " ".repeat(60));
        for honest in [
            "Reads a file.\n\tand more\r\n",
            "naïve café Zürich, 東京, Москва, שלום, مرحبا",
            "👩\u{200d}👩\u{200d}👧 family ❤\u{fe0f}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "\u{feff}starts with a mark",
            &indented,
        ] {
            assert_eq!(found(honest), [""; 0], "{honest:?}");
        }
    }
}
