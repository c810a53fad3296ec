//! What the rules for sensitive data find, and what they share.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What kind of data was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A key or token of a known service.
    Token,
    /// A private key.
    PrivateKey,
    /// A password, key or token by the name in front of it.
    Secret,
    /// A password in a URL.
    UrlPassword,
    /// A payment card number.
    CardNumber,
    /// The path of a file that holds credentials.
    CredentialPath,
}

/// Something sensitive in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensitive {
    /// The rule that matched, for example `github-token`.
    pub rule: &'static str,
    pub kind: Kind,
    /// The bytes of the text to replace.
    pub range: Range<usize>,
}

/// Length of the run of bytes from `start` on that `of` accepts.
pub(super) fn run(text: &str, start: usize, of: impl Fn(u8) -> bool) -> usize {
    text.as_bytes().get(start..).unwrap_or_default().iter().take_while(|byte| of(**byte)).count()
}

/// The byte before `at`, if there is one.
pub(super) fn byte_before(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at.checked_sub(1)?).copied()
}

/// Whether a letter or digit stands before `at`; the letter of an escape such as `\n` does not count.
pub(super) fn joined_to_word(text: &str, at: usize) -> bool {
    let Some(before) = byte_before(text, at) else { return false };
    let escape = matches!(before, b'n' | b't' | b'r') && at >= 2 && byte_before(text, at - 1) == Some(b'\\');
    (before.is_ascii_alphanumeric() || before == b'_') && !escape
}
