//! Finds secrets that are written in an entry, so that they can be moved to the keychain.

use serde_json::{Map, Value, json};

use crate::config::references::keychain_name;

/// A secret in `env` or `headers` of an entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// `env` or `headers`.
    pub block: &'static str,
    /// The variable or header.
    pub key: String,
    /// Its name in the keychain.
    pub name: String,
    value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("block", &self.block).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Secret {
    /// The value, for the keychain only.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Parts of names that hold secrets.
const SECRET_WORDS: [&str; 9] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "authorization",
    "auth",
    "pat",
];
/// Schemes of an `Authorization` header, which stay in the file.
const SCHEMES: [&str; 4] = ["Bearer ", "bearer ", "Basic ", "Token "];

/// The secrets of a server's entry.
pub fn find(server: &str, entry: &Map<String, Value>) -> Vec<Secret> {
    let mut found = Vec::new();
    for block in ["env", "headers"] {
        let fields = entry.get(block).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in fields {
            let Some(text) = value.as_str().filter(|text| is_secret(key, text)) else { continue };
            let (_, value) = split_scheme(text);
            found.push(Secret {
                block,
                key: key.clone(),
                name: keychain_name(&format!("{server}.{key}")),
                value: value.to_owned(),
            });
        }
    }
    found
}

/// Replaces a secret by its reference.
pub fn replace(entry: &mut Map<String, Value>, secret: &Secret) {
    let field = entry.get_mut(secret.block).and_then(|block| block.get_mut(&secret.key));
    if let Some(field) = field {
        let scheme = field.as_str().map_or("", |text| split_scheme(text).0).to_owned();
        *field = json!(format!("{scheme}${{keyring:{}}}", secret.name));
    }
}

fn split_scheme(text: &str) -> (&str, &str) {
    let scheme = SCHEMES.iter().find(|scheme| text.starts_with(**scheme)).map_or(0, |scheme| scheme.len());
    text.split_at_checked(scheme).unwrap_or(("", text))
}

/// Whether a variable or header with this name and value holds a secret.
fn is_secret(key: &str, text: &str) -> bool {
    let name = key.to_ascii_lowercase();
    let named = name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        SECRET_WORDS.iter().any(|secret| word == *secret || secret.len() > 4 && word.contains(secret))
            || word.ends_with("key")
            || word.ends_with("token")
    });
    let (_, value) = split_scheme(text);
    let is_path_or_flag = value.starts_with(['/', '~', '.']) || value.contains("://");
    named && value.len() >= 8 && !value.contains("${") && !is_path_or_flag
}
