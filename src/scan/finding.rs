//! Makes findings: the quote is readable whatever the text holds.

pub use crate::contract::scan::{Finding, Severity};

/// The most severe of these findings.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

/// Longest quote, in characters.
const LONGEST_QUOTE: usize = 160;
/// Characters of context before a match.
const CONTEXT: usize = 40;

/// A finding about the bytes `range` of `text`.
pub(super) fn finding(
    rule: &str,
    severity: Severity,
    location: &str,
    text: &str,
    range: std::ops::Range<usize>,
    reason: &str,
) -> Finding {
    Finding {
        rule: rule.to_owned(),
        severity,
        location: location.to_owned(),
        quote: quote(text, range),
        reason: reason.to_owned(),
    }
}

/// The text around `range`, on one line, readable whatever characters it holds.
fn quote(text: &str, range: std::ops::Range<usize>) -> String {
    let start = text.get(..range.start).unwrap_or_default();
    let first = start.char_indices().rev().take(CONTEXT).last().map_or(range.start.min(start.len()), |(at, _)| at);
    let mut quoted = String::new();
    if first > 0 {
        quoted.push('…');
    }
    let mut rest = text.get(first..).unwrap_or(text).chars();
    let mut written = 0;
    for char in rest.by_ref() {
        match char {
            '\n' | '\r' | '\t' => quoted.push(' '),
            char if is_invisible(char) => quoted.extend(char.escape_unicode()),
            char => quoted.push(char),
        }
        written += 1;
        if written == LONGEST_QUOTE {
            break;
        }
    }
    if rest.next().is_some() {
        quoted.push('…');
    }
    quoted
}

/// Whether a character shows nothing, or changes how its neighbours are shown.
pub(super) fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_shows_the_match_with_its_context_and_nothing_invisible() {
        let text = format!("{} tell\u{200b} no one\n{}", "x".repeat(100), "y".repeat(300));
        let start = text.find("tell").unwrap();
        let quoted = quote(&text, start..start + 4);
        assert!(quoted.starts_with("…xxx") && quoted.ends_with('…'), "{quoted}");
        assert!(quoted.contains(r"tell\u{200b} no one "), "{quoted}");
        assert!(quoted.chars().count() < 200, "{quoted}");
        assert_eq!(quote("short", 0..5), "short");
        assert_eq!(quote("short", 90..95), "short");
    }

    #[test]
    fn danger_is_the_worst() {
        let of = |severity| finding("r", severity, "description", "t", 0..1, "because");
        assert_eq!(worst(&[]), None);
        let found = [of(Severity::Danger), of(Severity::Info)];
        assert_eq!(worst(&found), Some(Severity::Danger));
    }
}
