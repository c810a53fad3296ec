//! Makes untrusted text safe to show: escapes characters that control a terminal, are invisible, or reorder text.

/// Whether a character is invisible, reorders text or controls a terminal.
pub fn is_hidden(c: char) -> bool {
    // Variation selectors 15 and 16 are allowed: they only select the style of a symbol.
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the text on one line, with escaped line breaks.
pub fn one_line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Returns the text with its line breaks and tabs kept.
pub fn lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// Returns a text as exactly one line of a log, regardless of its content, with a line break at the end.
pub fn log_line(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    one_line(line.strip_suffix('\n').unwrap_or(&line)) + "\n"
}

fn escaped(text: &str, keeps: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if keeps(c) || !is_hidden(c) => shown.push(c),
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c => shown.extend(c.escape_unicode()),
        }
    }
    shown
}

/// Escapes hidden characters in the strings of JSON text, without changing its meaning.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_hidden(c) {
            shown.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_or_hide_text_are_escaped() {
        for (text, expected) in [
            ("a\u{1b}[31mb\n", "a\\u{1b}[31mb\\n"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{7f}b", "a\\u{7f}b"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\u{e0041}", "a\\u{e0041}"),
            ("Grüße 値 ⚠\u{fe0f}", "Grüße 値 ⚠\u{fe0f}"),
        ] {
            assert_eq!(one_line(text), expected);
        }
        assert_eq!(lines("a\n\tb\r\u{1b}"), "a\n\tb\\r\\u{1b}");
    }

    #[test]
    fn a_quoted_error_cannot_write_lines_of_a_log() {
        assert_eq!(log_line(b"WARN a: x\n2026 INFO approved\n"), "WARN a: x\\n2026 INFO approved\n");
        assert_eq!(log_line(b"\xff\x1b[2J"), "\u{fffd}\\u{1b}[2J\n");
        assert_eq!(log_line(b"\n"), "\n");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"a\u{202e}": "\u{9b}\u{7f}\u{e0041}\u{1b}\n ü"});
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
