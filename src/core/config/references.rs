//! References in a server's entry: `${env:NAME}` stands for an environment variable of the core, so that a secret need not be in the file.

use std::collections::BTreeSet;

use super::ServerConfig;

/// Why an entry cannot be used as it is now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    #[error("`${{{0}}}` is no reference that this version knows: `${{env:NAME}}` is one; the entry is kept as it is")]
    Unknown(String),
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    /// Kind and name of a reference.
    Reference(&'a str, &'a str),
}

/// The pieces of a text. Only `${word:…}` is a reference: `${HOME}` is for whatever shell reads it.
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

/// The texts of an entry that may hold references. Not the address: it ends in logs.
fn texts(config: &mut ServerConfig) -> impl Iterator<Item = &mut String> {
    let entry = config.args.iter_mut().chain(config.env.values_mut()).chain(config.headers.values_mut());
    entry.chain(config.oauth.client_secret.iter_mut())
}

/// The environment variables that a server's entry refers to.
pub fn variables(config: &ServerConfig) -> BTreeSet<String> {
    let mut config = config.clone();
    let names = |text: &mut String| -> Vec<String> {
        let names = pieces(text).into_iter().filter_map(|piece| match piece {
            Piece::Reference("env", name) => Some(name.to_owned()),
            _ => None,
        });
        names.collect()
    };
    texts(&mut config).flat_map(names).collect()
}

/// The entry with its references replaced. The result is for starting the server only: it is neither shown nor written.
///
/// # Errors
/// [`Unresolved`], for the first one that cannot be replaced.
pub fn resolved<'a>(
    config: &ServerConfig,
    variable: impl Fn(&str) -> Option<&'a str>,
) -> Result<ServerConfig, Unresolved> {
    let mut config = config.clone();
    for text in texts(&mut config) {
        let mut whole = String::with_capacity(text.len());
        for piece in pieces(text) {
            whole.push_str(match piece {
                Piece::Plain(plain) => plain,
                Piece::Reference("env", name) => variable(name).ok_or_else(|| Unresolved::NotSet(name.to_owned()))?,
                Piece::Reference(kind, name) => return Err(Unresolved::Unknown(format!("{kind}:{name}"))),
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
        let variable = |name: &str| (name == "TOKEN").then_some("s3cret ${env:TOKEN}");
        resolved(&server(text), variable).map(|config| config.env["KEY"].clone())
    }

    #[test]
    fn references_are_replaced_once_and_nothing_else_is() {
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
        let error = value("${keyring:token}").unwrap_err().to_string();
        assert!(error.starts_with("`${keyring:token}` is no reference"), "{error}");
        assert_eq!(variables(&server("${env:A}${env:B} ${keyring:C}")), ["A", "B"].map(str::to_owned).into());
    }
}
