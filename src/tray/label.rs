//! Makes text from outside fit for one line of a menu.

use crate::contract::visible_text::is_hidden;

/// Maximum length of a menu line in characters; the rest is cut.
pub const LONGEST_LABEL: usize = 60;
/// Maximum length of the tooltip in characters: Windows allows 127 UTF-16 units, and a character may take two.
pub const LONGEST_TOOLTIP: usize = 60;

/// One line of at most `longest` characters, without control characters and direction marks.
pub fn line(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    let mut length = 0;
    let mut space = true; // leading space is dropped
    for character in text.chars() {
        let character = if character.is_whitespace() || character.is_control() { ' ' } else { character };
        if is_hidden(character) || (character == ' ' && space) {
            continue;
        }
        if length == longest {
            shown.pop();
            shown.push('…');
            break;
        }
        space = character == ' ';
        shown.push(character);
        length += 1;
    }
    shown.truncate(shown.trim_end().len());
    shown
}

/// Breaks a sentence into at most `most` lines of [`LONGEST_LABEL`] characters, between words or after a `/` in a long
/// path.
pub fn lines(text: &str, most: usize) -> Vec<String> {
    let text = line(text, LONGEST_LABEL * most);
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.char_indices().nth(LONGEST_LABEL).map_or(rest.len(), |(end, _)| end);
        let (window, _) = rest.split_at(end);
        let cut = if end == rest.len() || lines.len() + 1 == most {
            rest.len()
        } else {
            let space = window.rfind(' ').filter(|at| *at > LONGEST_LABEL / 3);
            space.or(window.rfind('/').filter(|at| *at > 0)).map_or(end, |at| at + 1)
        };
        let (now, later) = rest.split_at(cut);
        lines.push(line(now, LONGEST_LABEL));
        rest = later.trim_start();
    }
    lines
}

/// A sentence with a capital first letter.
pub fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// A label escaped for the menu library, where a single `&` marks a shortcut letter. (The library escapes `_` for D-Bus
/// itself.)
pub fn menu_text(label: &str) -> String {
    line(label, LONGEST_LABEL).replace('&', "&&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_line() {
        assert_eq!(menu_text(" a\n\tb\u{7} & <b>c_d</b>\u{202E}"), "a b && <b>c_d</b>");
        assert_eq!(menu_text(""), "");
    }

    #[test]
    fn a_long_sentence_takes_several_lines() {
        let text = "The configuration is not valid: `/home/ann/.mcpproxy/mcp_config.json`, line 3, column 5: expected a \
                    string, found a number";
        assert_eq!(
            lines(text, 4),
            [
                "The configuration is not valid:",
                "`/home/ann/.mcpproxy/mcp_config.json`, line 3, column 5:",
                "expected a string, found a number"
            ]
        );
        assert_eq!(lines("short", 4), ["short"]);
        assert!(lines("", 4).is_empty());
        let path = format!("`/{}/mcp_config.json` is bad", "directory/".repeat(9));
        assert!(lines(&path, 4).iter().any(|line| line.contains("mcp_config.json")), "{:?}", lines(&path, 4));
        assert_eq!(lines(&"word ".repeat(100), 3).len(), 3);
    }

    #[test]
    fn a_long_name_is_cut_where_it_can_be_seen() {
        let cut = line(&"x".repeat(61), 60);
        assert_eq!(cut.chars().count(), 60);
        assert!(cut.ends_with('…'));
        assert_eq!(line(&"x".repeat(60), 60), "x".repeat(60));
    }

    proptest! {
        #[test]
        fn every_text_becomes_one_bounded_line(text in any::<String>()) {
            let shown = line(&text, 60);
            prop_assert!(shown.chars().count() <= 60);
            prop_assert!(!shown.chars().any(char::is_control));
            let lines = lines(&text, 3);
            prop_assert!(lines.len() <= 3 && lines.iter().all(|line| line.chars().count() <= LONGEST_LABEL));
        }
    }
}
