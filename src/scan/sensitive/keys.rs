//! Private keys in PEM form, and passwords in URLs.

use memchr::memmem;

use super::value::{Kind, Sensitive, run};

pub(super) const PRIVATE_KEY: &str = "private-key";
pub(super) const URL_PASSWORD: &str = "url-password";

/// Longest private key that is replaced as a whole.
const LONGEST_KEY: usize = 16 << 10;

pub(super) fn find(text: &str, found: &mut Vec<Sensitive>) {
    for start in memmem::find_iter(text.as_bytes(), "-----BEGIN ") {
        let rest = text.get(start..text.floor_char_boundary(start + LONGEST_KEY)).unwrap_or_default();
        let head = rest.get(..rest.len().min(80)).unwrap_or(rest);
        if !head.contains("PRIVATE KEY") {
            continue;
        }
        // To the end of the key, at most to the end of the JSON text it stands in.
        let body = rest.find('"').unwrap_or(rest.len());
        let end = memmem::find(rest.as_bytes(), b"-----END ")
            .map(|at| at + run(rest, at, |byte| !b"\"\\\n\r".contains(&byte)));
        let length = end.map_or(body, |end| end.min(body));
        found.push(Sensitive {
            rule: PRIVATE_KEY,
            kind: Kind::PrivateKey,
            range: start..start + length,
        });
    }
    for scheme in memmem::find_iter(text.as_bytes(), "://") {
        let start = scheme + 3;
        let authority = run(text, start, |byte| !b"/?#\"'<> \n\r\t\\`,".contains(&byte));
        let authority = text.get(start..start + authority).unwrap_or_default();
        let Some((login, _)) = authority.rsplit_once('@') else { continue };
        let Some((user, password)) = login.split_once(':') else { continue };
        if password.len() >= 3 && !is_placeholder(password) {
            let from = start + user.len() + 1;
            found.push(Sensitive {
                rule: URL_PASSWORD,
                kind: Kind::UrlPassword,
                range: from..from + password.len(),
            });
        }
    }
}

/// Whether a value stands for a secret instead of being one.
pub(super) fn is_placeholder(value: &str) -> bool {
    const WORDS: &[&str] = &[
        "password",
        "passwd",
        "pass",
        "secret",
        "token",
        "example",
        "changeme",
        "your",
        "redacted",
        "placeholder",
        "null",
        "none",
        "undefined",
        "string",
        "true",
        "false",
        "xxx",
        "***",
        "...",
        "<",
        "${",
        "{{",
        "$(",
        "%",
        "env.",
        "process.",
        "[",
        "•",
        "hidden",
        "dummy",
        "sample",
        "test",
    ];
    let lower = value.to_ascii_lowercase();
    let same = value.chars().all(|char| value.starts_with(char));
    same || value.starts_with('$') || WORDS.iter().any(|word| lower.starts_with(word))
}
