//! Values that the name in front of them calls a password, a key or a token, and that look like one.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::keys::is_placeholder;
use super::value::{Kind, Sensitive, run};

pub(super) const PASSWORD: &str = "password";
pub(super) const HIGH_ENTROPY: &str = "high-entropy-secret";

/// Names of passwords: what people choose themselves, so any mixture counts.
const PASSWORDS: &[&str] = &["password", "passwd", "passphrase", "pwd"];
/// Names of keys and tokens: what machines made, so only random values count.
const KEYS: &[&str] = &[
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "accesskey",
    "private_key",
    "privatekey",
    "client_secret",
    "bearer ",
    "basic ",
    "credential",
    "account_key",
    "accountkey",
    "auth_key",
    "signing_key",
    "encryption_key",
];

/// Longest distance in bytes from a name to its value.
const GAP: usize = 8;

pub(super) fn find(text: &str, found: &mut Vec<Sensitive>) {
    for hit in names().into_iter().flat_map(|names| names.find_iter(text)) {
        let password = hit.pattern().as_usize() < PASSWORDS.len();
        let bearer = text.as_bytes().get(hit.end() - 1) == Some(&b' ');
        let Some(start) = value_start(text, hit.end(), bearer) else { continue };
        let length = run(text, start, |byte| byte.is_ascii_graphic() && !b"\"'\\,;&<>()[]{}`".contains(&byte));
        let value = text.get(start..start + length).unwrap_or_default();
        let rule = match password {
            true if is_password(value) => PASSWORD,
            false if is_random(value) => HIGH_ENTROPY,
            _ => continue,
        };
        found.push(Sensitive {
            rule,
            kind: Kind::Secret,
            range: start..start + length,
        });
    }
}

/// Where the value of a name begins: after the rest of the name, quotes, and `=` or `:`.
fn value_start(text: &str, end: usize, separated: bool) -> Option<usize> {
    if separated {
        return Some(end);
    }
    let mut at = end + run(text, end, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if at - end > 24 {
        return None;
    }
    let mut assigned = false;
    let last = at + GAP;
    while let Some(byte) = text.as_bytes().get(at)
        && at < last
    {
        match byte {
            b'=' | b':' => assigned = true,
            b'"' | b'\'' | b'\\' | b' ' | b'>' => {}
            _ => break,
        }
        at += 1;
    }
    (assigned && text.is_char_boundary(at)).then_some(at)
}

/// Whether a value could be a password: letters with digits or signs, and no placeholder.
fn is_password(value: &str) -> bool {
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let others = value.bytes().any(|byte| !byte.is_ascii_alphabetic() && !matches!(byte, b'.' | b'_' | b'-'));
    (6..=128).contains(&value.len()) && letters && others && !is_placeholder(value) && !looks_like_code(value)
}

/// Whether a value was made by a machine: long, of several kinds of characters, and without a pattern.
pub(super) fn is_random(value: &str) -> bool {
    let value = value.trim_end_matches('=');
    if !(16..=256).contains(&value.len()) || is_placeholder(value) || looks_like_code(value) {
        return false;
    }
    let of = |kind: fn(&u8) -> bool| value.bytes().filter(kind).count();
    let (digits, letters) = (of(u8::is_ascii_digit), of(u8::is_ascii_alphabetic));
    let hex = of(u8::is_ascii_hexdigit) == value.len();
    let needed = if hex { 3.0 } else { 3.4 };
    // A random text of this length has a digit in nearly every case; words and identifiers rarely have many.
    digits * 12 >= value.len() && letters >= 4 && entropy(value) >= needed
}

/// A path, a URL or a call: what configuration refers to instead of a value.
fn looks_like_code(value: &str) -> bool {
    value.contains("://")
        || value.starts_with(['/', '.', '~', '@'])
        || value.matches('.').count() >= 3
        || value.contains("::")
}

/// Bits per character, by how often each occurs in this text.
fn entropy(value: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = value.len() as f64;
    let share = |count: &u32| f64::from(*count) / length;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

fn names() -> Option<&'static AhoCorasick> {
    static NAMES: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
        builder.build(PASSWORDS.iter().chain(KEYS)).ok()
    };
    NAMES.get_or_init(build).as_ref()
}
