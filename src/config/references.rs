//! References in a server's entry, which keep secrets out of the file: `${env:NAME}` is an environment variable of the
//! core, `${keyring:NAME}` a secret in the system keychain.

use std::collections::BTreeSet;

use crate::config::server::ServerConfig;

/// Why a reference has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    #[error("the keychain has no secret `{0}`: store it with `mcpproxy secrets set {0}`, then restart the server")]
    NotKept(String),
    #[error("unknown reference `${{{0}}}`: this version supports `${{env:NAME}}` and `${{keyring:NAME}}`")]
    Unknown(String),
}

/// A piece of a string.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    /// Kind and name of a reference.
    Reference(&'a str, &'a str),
}

/// A name that the keychain accepts.
pub fn keychain_name(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect()
}

/// Splits a string. Only `${word:…}` is a reference; `${HOME}` is left to a shell.
fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut searched = 0;
    while let Some(start) = text.get(searched..).and_then(|rest| rest.find("${")).map(|at| at + searched) {
        let inside = text.get(start + 2..).unwrap_or_default();
        let reference = inside.split_once('}').and_then(|(inside, rest)| Some((inside.split_once(':')?, rest)));
        match reference {
            Some(((kind, name), rest)) if !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                found.push(Piece::Plain(text.get(..start).unwrap_or_default()));
                found.push(Piece::Reference(kind, name));
                (text, searched) = (rest, 0);
            }
            _ => searched = start + 2,
        }
    }
    found.push(Piece::Plain(text));
    found
}

/// The strings of an entry that may hold references. Not the URL, because it appears in logs.
fn strings(config: &mut ServerConfig) -> impl Iterator<Item = &mut String> {
    let entry = config.args.iter_mut().chain(config.env.values_mut()).chain(config.headers.values_mut());
    entry.chain(config.oauth.client_secret.iter_mut())
}

/// The kind of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An environment variable.
    Variable,
    /// A secret in the system keychain.
    Secret,
}

impl Kind {
    fn from_name(name: &str) -> Option<Kind> {
        match name {
            "env" => Some(Kind::Variable),
            "keyring" => Some(Kind::Secret),
            _ => None,
        }
    }
}

/// The names of this kind to which a server's entry refers.
pub fn names(config: &ServerConfig, kind: Kind) -> BTreeSet<String> {
    let mut config = config.clone();
    let names = |text: &mut String| -> Vec<String> {
        let names = pieces(text).into_iter().filter_map(|piece| match piece {
            Piece::Reference(word, name) if Kind::from_name(word) == Some(kind) => Some(name.to_owned()),
            _ => None,
        });
        names.collect()
    };
    strings(&mut config).flat_map(names).collect()
}

/// The names that an entry's arguments refer to: their values are part of a command line, which every user can list.
pub fn in_arguments(config: &ServerConfig) -> BTreeSet<String> {
    let only = ServerConfig {
        args: config.args.clone(),
        ..ServerConfig::default()
    };
    names(&only, Kind::Variable).into_iter().chain(names(&only, Kind::Secret)).collect()
}

/// The entry with its references replaced. Only for starting the server: it must not be shown or written.
///
/// # Errors
/// [`Unresolved`] for the first reference without a value.
pub fn resolved<'a>(
    config: &ServerConfig,
    value: impl Fn(Kind, &str) -> Option<&'a str>,
) -> Result<ServerConfig, Unresolved> {
    let mut config = config.clone();
    for text in strings(&mut config) {
        let mut whole = String::with_capacity(text.len());
        for piece in pieces(text) {
            whole.push_str(match piece {
                Piece::Plain(plain) => plain,
                Piece::Reference(word, name) => {
                    let kind = Kind::from_name(word).ok_or_else(|| Unresolved::Unknown(format!("{word}:{name}")))?;
                    value(kind, name).ok_or_else(|| match kind {
                        Kind::Variable => Unresolved::NotSet(name.to_owned()),
                        Kind::Secret => Unresolved::NotKept(name.to_owned()),
                    })?
                }
            });
        }
        *text = whole;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(value: &str) -> ServerConfig {
        let mut config = ServerConfig {
            name: "a".to_owned(),
            command: Some("x".to_owned()),
            ..ServerConfig::default()
        };
        config.env.insert("KEY".to_owned(), value.to_owned());
        config
    }

    fn value(text: &str) -> Result<String, Unresolved> {
        let value = |kind: Kind, name: &str| match (kind, name) {
            (Kind::Variable, "TOKEN") => Some("s3cret ${env:TOKEN}"),
            (Kind::Secret, "TOKEN") => Some("kept"),
            _ => None,
        };
        resolved(&server(text), value).map(|config| config.env["KEY"].clone())
    }

    #[test]
    fn references_are_replaced_once_and_nothing_else_is() {
        assert_eq!(value("${keyring:TOKEN} ${env:TOKEN}").unwrap(), "kept s3cret ${env:TOKEN}");
        assert_eq!(value("Bearer ${env:TOKEN}!").unwrap(), "Bearer s3cret ${env:TOKEN}!");
        for plain in [
            "",
            "$",
            "${",
            "${HOME}",
            "${HOME:-x}",
            "${env:TOKEN",
            "a}b",
            "${:x}",
            "ü${",
        ] {
            assert_eq!(value(plain).unwrap(), plain);
        }
        assert_eq!(value("${${env:TOKEN}").unwrap(), "${s3cret ${env:TOKEN}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(value("${env:NONE}"), Err(Unresolved::NotSet("NONE".to_owned())));
        assert_eq!(value("${keyring:NONE}"), Err(Unresolved::NotKept("NONE".to_owned())));
        let error = value("${input:token}").unwrap_err().to_string();
        assert!(error.starts_with("unknown reference `${input:token}`"), "{error}");
        let server = server("${env:A}${env:B} ${keyring:C}");
        assert_eq!(names(&server, Kind::Variable), ["A", "B"].map(str::to_owned).into());
        assert_eq!(names(&server, Kind::Secret), ["C".to_owned()].into());
    }
}
