//! Variables in other programs' entries, rewritten as our references.

use std::path::MAIN_SEPARATOR_STR;

use crate::config::references::keychain_name;

/// How a format writes variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `${env:NAME}` and `${input:ID}`, as in VS Code and Cursor.
    References,
    /// Also `${NAME}` and `${NAME:-default}`, as in Claude Code.
    Shell,
    /// Also `$NAME` and `${NAME}`, as in Gemini CLI.
    Dollar,
    /// `{env:NAME}`, as in OpenCode.
    Braces,
}

/// A value that VS Code asks the user for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub id: String,
    pub description: Option<String>,
    pub default: Option<String>,
    pub is_password: bool,
}

/// The values that replace variables.
pub struct Values<'a> {
    /// The home directory.
    pub home: &'a str,
    /// The project directory, for a project's file.
    pub workspace: Option<&'a str>,
    pub inputs: &'a [Input],
    /// Whether an environment variable is set.
    pub is_set: &'a dyn Fn(&str) -> bool,
}

/// A string with our references, and what the user has to do for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    pub text: String,
    pub warnings: Vec<String>,
}

/// Rewrites the variables of a string.
///
/// # Errors
/// A sentence that names the variable that cannot be expressed.
pub fn expand(text: &str, syntax: Syntax, values: &Values<'_>) -> Result<Expanded, String> {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(start) = rest.find(['$', '{']) {
        let (before, from) = rest.split_at(start);
        expanded.text.push_str(before);
        let token = token(from, syntax);
        let (replacement, length) = match token {
            Some((Token::Braced(inside), length)) => (braced(inside, syntax, values, &mut expanded.warnings)?, length),
            Some((Token::Plain(name), length)) => (Some(environment(name, values)), length),
            Some((Token::OpenCode(inside), length)) => (Some(open_code(inside)?), length),
            None => (None, 1),
        };
        let (raw, after) = from.split_at_checked(length).unwrap_or((from, ""));
        expanded.text.push_str(replacement.as_deref().unwrap_or(raw));
        rest = after;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

enum Token<'a> {
    /// `${…}`.
    Braced(&'a str),
    /// `$NAME`.
    Plain(&'a str),
    /// `{env:…}` or `{file:…}`.
    OpenCode(&'a str),
}

/// The variable at the start of a string, and its length in bytes.
fn token(text: &str, syntax: Syntax) -> Option<(Token<'_>, usize)> {
    if let Some(inside) = text.strip_prefix("${") {
        let (inside, _) = inside.split_once('}')?;
        return Some((Token::Braced(inside), inside.len() + 3));
    }
    match syntax {
        Syntax::Dollar => {
            let name = text.strip_prefix('$')?;
            let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
            let name = name.get(..length)?;
            is_name(name).then_some((Token::Plain(name), length + 1))
        }
        Syntax::Braces => {
            let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
            let known = inside.starts_with("env:") || inside.starts_with("file:");
            known.then_some((Token::OpenCode(inside), inside.len() + 2))
        }
        Syntax::References | Syntax::Shell => None,
    }
}

/// The replacement of `${inside}`; `None` keeps it as it is.
fn braced(
    inside: &str,
    syntax: Syntax,
    values: &Values<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<String>, String> {
    let folder = || {
        values
            .workspace
            .map(str::to_owned)
            .ok_or_else(|| format!("`${{{inside}}}` depends on the folder that is open in the editor"))
    };
    Ok(match inside {
        "userHome" => Some(values.home.to_owned()),
        "workspaceFolder" | "workspaceRoot" => Some(folder()?),
        "workspaceFolderBasename" => Some(folder()?.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()),
        "pathSeparator" | "/" => Some(MAIN_SEPARATOR_STR.to_owned()),
        _ => match (inside.split_once(':'), syntax) {
            (Some(("env" | "keyring", _)), _) => None,
            (Some(("input", id)), _) => Some(input(id, values.inputs, warnings)),
            (_, Syntax::Shell | Syntax::Dollar) => shell(inside, values),
            _ => None,
        },
    })
}

/// `NAME` or `NAME:-default`.
fn shell(inside: &str, values: &Values<'_>) -> Option<String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return None;
    }
    match default {
        Some(default) if !(values.is_set)(name) => Some(default.to_owned()),
        _ => Some(environment(name, values)),
    }
}

/// The home directory is written out, because references are not resolved in every field.
fn environment(name: &str, values: &Values<'_>) -> String {
    if matches!(name, "HOME" | "USERPROFILE") {
        values.home.to_owned()
    } else {
        format!("${{env:{name}}}")
    }
}

fn open_code(inside: &str) -> Result<String, String> {
    match inside.split_once(':') {
        Some(("env", name)) => Ok(format!("${{env:{name}}}")),
        _ => Err(format!("`{{{inside}}}` reads a value from a file; store it with `mcpproxy secrets set` instead")),
    }
}

/// An input with a default keeps it; any other is read from the keychain.
fn input(id: &str, inputs: &[Input], warnings: &mut Vec<String>) -> String {
    let found = inputs.iter().find(|input| input.id == id);
    if let Some(default) = found.filter(|input| !input.is_password).and_then(|input| input.default.clone()) {
        return default;
    }
    let name = keychain_name(id);
    let what = found.and_then(|input| input.description.as_deref()).map(|text| format!(" ({text})"));
    warnings.push(format!("store its value{}: mcpproxy secrets set {name}", what.unwrap_or_default()));
    format!("${{keyring:{name}}}")
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
