//! Decodes a string into every form that a reader could recognise: the string itself, and each common encoding removed.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use unicode_normalization::UnicodeNormalization;

/// Maximum number of nested encodings.
const DEEPEST: usize = 4;
/// Maximum number of decoded forms per string. More nesting does not happen by accident.
const MOST: usize = 32;
/// Minimum length of a run of Base64 or hex digits that may encode text.
const SHORTEST_BASE64: usize = 6;
const SHORTEST_HEX: usize = 8;

/// All forms of a string, the string itself first.
pub(crate) fn views(text: &str) -> Vec<String> {
    let mut found = vec![text.to_owned()];
    let (mut from, mut depth) = (0, 0);
    while from < found.len() && depth < DEEPEST {
        let layer = found.get(from..).unwrap_or_default().to_vec();
        from = found.len();
        depth += 1;
        for view in layer.iter().flat_map(|text| undress(text)) {
            if found.len() < MOST && !found.contains(&view) {
                found.push(view);
            }
        }
    }
    found
}

/// The strings after one encoding of any kind is removed.
fn undress(text: &str) -> Vec<String> {
    let mut under = Vec::new();
    if !text.is_ascii() || text.bytes().any(|byte| byte.is_ascii_control()) {
        under.push(text.nfkc().filter(|c| !invisible(*c)).collect());
    }
    if text.contains('%') {
        under.push(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned());
    }
    if text.contains('\\') {
        under.push(unescape(text));
    }
    if text.contains('&') {
        under.push(html_unescape(text));
    }
    encoded_runs(text, &mut under);
    under
}

/// Characters that a reader does not see and that would split a search term.
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// Decodes `\/`, `\\`, `\u002f`, `\x2f`, `\u{2f}` and similar escapes.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        let coded = |head: &str, digits: usize| {
            let hex = after.strip_prefix(head)?.get(..digits)?;
            let code = u32::from_str_radix(hex, 16).ok()?;
            Some((char::from_u32(code)?, head.len() + digits))
        };
        let braced = || {
            let (hex, _) = after.strip_prefix("u{")?.split_once('}')?;
            Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, hex.len() + 3))
        };
        let (c, length) = coded("u", 4)
            .or_else(|| coded("U", 8))
            .or_else(|| coded("x", 2))
            .or_else(braced)
            .unwrap_or_else(|| after.chars().next().map_or(('\\', 0), |c| (c, c.len_utf8())));
        out.push(c);
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Decodes `&#47;`, `&#x2f;` and the few entities for characters of paths and URLs.
fn html_unescape(text: &str) -> String {
    const NAMED: &[(&str, char)] = &[
        ("amp", '&'),
        ("sol", '/'),
        ("bsol", '\\'),
        ("commat", '@'),
        ("period", '.'),
        ("colon", ':'),
        ("percnt", '%'),
        ("lowbar", '_'),
        ("hyphen", '-'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("equals", '='),
        ("nbsp", ' '),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let entity = after.get(1..).and_then(|after| after.split_once(';')).map(|(entity, _)| entity);
        let character = entity.filter(|entity| entity.len() <= 10).and_then(|entity| match entity.strip_prefix('#') {
            Some(code) => match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => code.parse().ok(),
            }
            .and_then(char::from_u32),
            None => NAMED.iter().find(|(name, _)| entity.eq_ignore_ascii_case(name)).map(|(_, c)| *c),
        });
        match (character, entity) {
            (Some(c), Some(entity)) => {
                out.push(c);
                rest = after.get(entity.len() + 2..).unwrap_or_default();
            }
            _ => {
                out.push('&');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// Adds the decoded Base64 and hex runs of a string, if they contain text.
fn encoded_runs(text: &str, under: &mut Vec<String>) {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
    const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    for run in text.split(|c: char| !c.is_ascii() || !digit(c as u8)).filter(|run| run.len() >= SHORTEST_BASE64) {
        for engine in [&PLAIN, &URL] {
            under.extend(engine.decode(run).ok().and_then(readable));
        }
    }
    for run in
        text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= SHORTEST_HEX && run.len() % 2 == 0)
    {
        let bytes: Option<Vec<u8>> = (0..run.len())
            .step_by(2)
            .map(|at| run.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        under.extend(bytes.and_then(readable));
    }
}

/// The bytes as a string, if at least nine in ten are printable ASCII.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let printable = bytes.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
    (!bytes.is_empty() && printable * 10 >= bytes.len() * 9).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(text: &str, hidden: &str) -> bool {
        views(text).iter().any(|view| view.contains(hidden))
    }

    #[test]
    fn every_disguise_comes_off() {
        for text in [
            "/home/ann",
            r"\/home\/ann",
            r"\u002fhome\u002Fann",
            r"\x2fhome\x2fann",
            "%2Fhome%2fann",
            "%252Fhome%252Fann",
            "&#47;home&#x2F;ann",
            "&sol;home&sol;ann",
            "／home／ann",
            "/ho\u{200b}me/a\u{ad}nn",
            "L2hvbWUvYW5u",
            "2f686f6d652f616e6e",
            "x=L2hvbWUvYW5u;",
            "TDJodmJXVXZZVzV1",
            "%4c2hvbWUvYW5u",
        ] {
            assert!(shows(text, "/home/ann"), "{text}");
        }
    }

    #[test]
    fn plain_text_has_one_view() {
        for text in [
            "interactive",
            "0.21.0",
            "7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d",
            "2026-01-02T03:04:05Z",
        ] {
            assert_eq!(views(text), [text], "{text}");
        }
    }

    #[test]
    fn odd_text_is_neither_lost_nor_harmful() {
        for text in [
            "",
            "%",
            "%zz",
            "\\",
            "\\u",
            "\\u{",
            "\\ud800",
            "&",
            "&;",
            "&#;",
            "&#xffffffffff;",
            "&amp",
            "====",
            "日本\\語",
        ] {
            assert!(views(text).len() <= MOST);
        }
    }
}
