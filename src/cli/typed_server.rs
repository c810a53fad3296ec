//! A server as a person types it in one line: a command, a URL, or a name in a registry.

use std::path::Path;

/// The server that a line names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TypedServer {
    /// A program with its arguments, and `NAME=VALUE` for variables before it.
    Local { env: Vec<String>, command: Vec<String> },
    /// The URL of a remote server.
    Remote(String),
    /// A name in a registry.
    Registered(String),
}

/// Reads a line; `None` if it is empty.
///
/// # Errors
/// A sentence on what is wrong with the line.
pub(super) fn read(line: &str) -> Result<Option<TypedServer>, String> {
    let mut env = words(line)?;
    let command = env.split_off(env.iter().take_while(|word| is_assignment(word)).count());
    Ok(match command.as_slice() {
        [] if env.is_empty() => None,
        [] => return Err("expected a command after the variables".to_owned()),
        [url] if url.contains("://") && env.is_empty() => Some(TypedServer::Remote(url.clone())),
        [url] if url.contains("://") => return Err("expected no variables before a URL".to_owned()),
        [name] if env.is_empty() && !is_path(name) => Some(TypedServer::Registered(name.clone())),
        _ => Some(TypedServer::Local { env, command }),
    })
}

/// Splits at spaces, except in quotes. A backslash means itself, as in Windows paths.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            Some(_) | None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(open) => Err(format!("a quote ({open}) has no end")),
        None => Ok(words),
    }
}

fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.starts_with(|c: char| !c.is_ascii_digit())
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

fn is_path(word: &str) -> bool {
    Path::new(word).is_absolute() || ["./", "../", "~/", ".\\", "..\\"].iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(env: &[&str], command: &[&str]) -> Option<TypedServer> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Some(TypedServer::Local {
            env: owned(env),
            command: owned(command),
        })
    }

    #[test]
    fn a_line_is_a_command_a_url_or_a_name() {
        let package = "@modelcontextprotocol/server-everything";
        assert_eq!(read(&format!(" npx -y {package} ")).unwrap(), local(&[], &["npx", "-y", package]));
        assert_eq!(read("A_1=b uvx x").unwrap(), local(&["A_1=b"], &["uvx", "x"]));
        assert_eq!(read("A=b x").unwrap(), local(&["A=b"], &["x"]));
        assert_eq!(read("./server").unwrap(), local(&[], &["./server"]));
        assert_eq!(read("https://h/mcp").unwrap(), Some(TypedServer::Remote("https://h/mcp".into())));
        for name in ["everything", "io.github.a/b"] {
            assert_eq!(read(name).unwrap(), Some(TypedServer::Registered(name.into())));
        }
        assert_eq!(read(" \t").unwrap(), None);
    }

    #[test]
    fn quotes_keep_spaces_and_backslashes_stay() {
        assert_eq!(read("x 'a b' \"\" c\"d e\"").unwrap(), local(&[], &["x", "a b", "", "cd e"]));
        assert_eq!(read(r"C:\a\b.exe -x").unwrap(), local(&[], &[r"C:\a\b.exe", "-x"]));
        assert_eq!(read("x --path=/a").unwrap(), local(&[], &["x", "--path=/a"]));
    }

    #[test]
    fn a_line_that_cannot_be_meant_is_an_error() {
        for line in ["x 'a", "A=b", "A=b https://h/mcp"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
