//! Carries numbers through the JSON library in their original text.
//!
//! The library keeps the text of a number except for its exponent: `1e400` becomes `1e+400`, and `2E5` becomes `2e+5`. Such a
//! number travels inside the program as a string with a mark, and leaves it as a number again. The mark is random and never
//! leaves the program, so a message cannot contain it.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{e000}{}:", uuid::Uuid::new_v4().simple()));

/// Replaces the numbers that the library would change by strings. `json` is valid JSON.
pub fn hold(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let (mut held, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let length = bytes.iter().skip(at).take_while(|byte| is_of_number(**byte)).count();
                let number = json.get(at..at + length).unwrap_or_default();
                if would_change(number) {
                    held.push_str(json.get(kept..at).unwrap_or_default());
                    held.extend(["\"", MARK.as_str(), number, "\""]);
                    kept = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    held.push_str(json.get(kept..).unwrap_or_default());
    Cow::Owned(held)
}

/// Puts the numbers back into a text, also where it is quoted in another string.
pub fn restore(text: &[u8]) -> Cow<'_, [u8]> {
    let mark = MARK.as_bytes();
    let mut restored = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, mark) {
        let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + mark.len()..).unwrap_or_default());
        let length = after.iter().take_while(|byte| is_of_number(**byte)).count();
        let (number, after) = (after.get(..length).unwrap_or_default(), after.get(length..).unwrap_or_default());
        let unquoted = before.strip_suffix(b"\"").map(|before| {
            let slashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            (before.get(..before.len() - slashes).unwrap_or_default(), after.get(slashes + 1..).unwrap_or_default())
        });
        let (before, after) = unquoted.unwrap_or((before, after));
        restored.extend_from_slice(before);
        restored.extend_from_slice(number);
        rest = after;
    }
    if restored.is_empty() {
        return Cow::Borrowed(text);
    }
    restored.extend_from_slice(rest);
    Cow::Owned(restored)
}

/// [`restore`] for bytes that are not needed otherwise.
pub fn restored(bytes: Vec<u8>) -> Vec<u8> {
    let changed = match restore(&bytes) {
        Cow::Owned(restored) => Some(restored),
        Cow::Borrowed(_) => None,
    };
    changed.unwrap_or(bytes)
}

/// [`restore`] for text.
pub fn restore_text(text: &str) -> Cow<'_, str> {
    match restore(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(restored) => Cow::Owned(String::from_utf8_lossy(&restored).into_owned()),
    }
}

/// The value with the numbers themselves, for code that reads them.
pub fn released<T: Serialize + DeserializeOwned + Clone>(value: &T) -> T {
    let text = serde_json::to_string(value).unwrap_or_default();
    match restore_text(&text) {
        Cow::Owned(restored) => serde_json::from_str(&restored).unwrap_or_else(|_| value.clone()),
        Cow::Borrowed(_) => value.clone(),
    }
}

/// Whether a string is a number that is held.
pub fn is_held(text: &str) -> bool {
    text.starts_with(MARK.as_str())
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

fn would_change(number: &str) -> bool {
    let Some((_, exponent)) = number.split_once(['e', 'E']) else { return false };
    number.contains('E') || !exponent.starts_with(['+', '-'])
}

/// The index after the closing quote of a string.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_number_keeps_its_text_through_the_library() {
        for json in [
            r#"{"a":[1e400,-2E5,3.10E+7,4e-9,5e+2],"b":"1e400","c\"1e4":18446744073709551616,"d":[-0,1.50,1e2]}"#,
            "1E5",
            "[1,2.0,\"\"]",
            "[]",
        ] {
            let value: Value = serde_json::from_str(&hold(json)).unwrap();
            let written = serde_json::to_string(&value).unwrap();
            assert_eq!(restore_text(&written), json);
            let quoted = serde_json::to_string(&written).unwrap();
            assert_eq!(restore_text(&quoted), serde_json::to_string(json).unwrap());
        }
    }

    #[test]
    fn a_released_value_has_numbers() {
        let held: Value = serde_json::from_str(&hold(r#"{"limit":1E1,"text":"1E1"}"#)).unwrap();
        assert!(held["limit"].is_string());
        assert_eq!((released(&held)["limit"].as_f64(), &released(&held)["text"]), (Some(10.0), &"1E1".into()));
    }

    #[test]
    fn other_text_is_not_touched() {
        for json in [r#"{"a":[1,-2.5e+3,"1E5 \\"],"b":null}"#, "", "\"open"] {
            assert!(matches!(hold(json), Cow::Borrowed(_)));
            assert!(matches!(restore_text(json), Cow::Borrowed(_)));
        }
    }
}
