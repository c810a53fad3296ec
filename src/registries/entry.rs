//! From a record and the user's answers to an entry of `mcpServers`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::new_server::NewServer;
use crate::config::references::keychain_name;
use crate::contract::registry::{AddFromRegistry, InputKind, RegistryInput};
use crate::contract::words::ServerProtocol;
use crate::registries::arguments::Word;
use crate::registries::identifier::{is_header, remote_problem};
use crate::registries::options::{Recipe, Start, choices};
use crate::registries::record::Record;
use crate::registries::template::{Piece, Template};

/// Values for a record's inputs, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    pub env: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    /// Arguments and variables; an argument that may be repeated has several values.
    pub args: BTreeMap<String, Vec<String>>,
}

impl From<&AddFromRegistry> for Answers {
    fn from(wanted: &AddFromRegistry) -> Answers {
        let lines = |text: &String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        Answers {
            env: wanted.env.clone(),
            headers: wanted.headers.clone(),
            args: wanted.args.iter().map(|(name, text)| (name.clone(), lines(text))).collect(),
        }
    }
}

impl Answers {
    fn get(&self, input: &RegistryInput) -> Vec<String> {
        let given = match input.kind {
            InputKind::Env => self.env.get(&input.name).cloned().into_iter().collect(),
            InputKind::Header => {
                let same = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
                same.map(|(_, value)| value.clone()).into_iter().collect()
            }
            InputKind::Arg => self.args.get(&input.name).cloned().unwrap_or_default(),
        };
        given.into_iter().filter(|value: &String| !value.is_empty()).collect()
    }

    /// Whether an input has a value.
    pub fn has(&self, input: &RegistryInput) -> bool {
        !self.get(input).is_empty()
    }

    /// Adds a value for an input.
    pub fn add(&mut self, input: &RegistryInput, value: String) {
        match input.kind {
            InputKind::Env => drop(self.env.insert(input.name.clone(), value)),
            InputKind::Header => drop(self.headers.insert(input.name.clone(), value)),
            InputKind::Arg => self.args.entry(input.name.clone()).or_default().push(value),
        }
    }
}

/// A new entry, and the secrets that it refers to.
#[derive(Clone, PartialEq, Eq)]
pub struct Built {
    pub name: String,
    pub entry: Map<String, Value>,
    /// Name in the keychain and value.
    pub secrets: Vec<(String, String)>,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Built").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Inputs that need a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub Vec<RegistryInput>);

/// The reason why no entry could be built from a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("`{0}` has no option `{1}`")]
    NoOption(String, String),
    #[error("could not add `{0}`: {1}")]
    Unusable(String, String),
    #[error("{}", missing(.0))]
    Missing(Missing),
    #[error("{0}")]
    Invalid(String),
}

fn missing(missing: &Missing) -> String {
    let names: Vec<String> = missing.0.iter().map(|input| format!("`{}`", input.name)).collect();
    format!("the server needs {}", names.join(", "))
}

/// The name of a record's server: the last part of its name, or the publisher's if that says nothing.
pub(crate) fn server_name(record_name: &str) -> String {
    let (space, last) = record_name.split_once('/').unwrap_or(("", record_name));
    let says_nothing = matches!(last.to_ascii_lowercase().as_str(), "mcp" | "server" | "mcp-server" | "mcp_server");
    let publisher = space.rsplit('.').next().filter(|publisher| !publisher.is_empty());
    let name = if says_nothing { publisher.unwrap_or(last) } else { last };
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    name.chars().map(fits).take(64).collect()
}

/// Builds the entry for one option of a record; without an ID, for the first that is possible.
///
/// # Errors
/// [`BuildError`].
pub(crate) fn build(
    record: &Record,
    option: Option<&str>,
    name: Option<&str>,
    answers: &Answers,
    keeps_secrets: bool,
) -> Result<Built, BuildError> {
    let recipe = chosen(record, option)?;
    let name = name.map_or_else(|| server_name(&record.name), str::to_owned);
    refuse_unknown(&recipe, answers)?;
    let mut values = Values::read(&recipe, answers)?;
    let mut secrets = Vec::new();
    // Before the secrets are replaced: the URL keeps its values.
    let (protocol, url) = match &recipe.start {
        Start::Remote { protocol, url } => (protocol.clone(), Some(remote_url(url, &values)?)),
        Start::Local { .. } => (ServerProtocol::Stdio, None),
    };
    if !keeps_secrets {
        secrets = values.take_secrets(&recipe, &name);
    }
    let env = fields(&recipe.env, &values, &answers.env, |one, other| one == other)?;
    let headers = fields(&recipe.headers, &values, &answers.headers, str::eq_ignore_ascii_case)?;
    if headers.values().filter_map(Value::as_str).any(|value| value.contains(['\r', '\n', '\0'])) {
        return Err(BuildError::Invalid("a header's value must be one line".to_owned()));
    }
    let (command, args) = match &recipe.start {
        Start::Local { command, words } => (Some(*command), Some(arguments(words, &values, &env)?)),
        Start::Remote { .. } => (None, None),
    };
    let server = NewServer {
        name: name.clone(),
        protocol,
        url,
        command: command.map(str::to_owned),
        args,
        env,
        headers,
        enabled: Some(true),
        ..NewServer::default()
    };
    Ok(Built {
        name,
        entry: server.into_entry(),
        secrets,
    })
}

fn chosen(record: &Record, option: Option<&str>) -> Result<Recipe, BuildError> {
    let mut choices = choices(record);
    let unusable = |reason: String| BuildError::Unusable(record.name.clone(), reason);
    match option {
        Some(id) => match choices.into_iter().find(|choice| choice.id == id) {
            Some(choice) => choice.recipe.map_err(unusable),
            None => Err(BuildError::NoOption(record.name.clone(), id.to_owned())),
        },
        None => match choices.iter().position(|choice| choice.recipe.is_ok()) {
            Some(index) => choices.swap_remove(index).recipe.map_err(unusable),
            None => {
                let reason = choices.into_iter().find_map(|choice| choice.recipe.err());
                Err(unusable(
                    reason.unwrap_or_else(|| "its record says neither what to run nor where it is".to_owned()),
                ))
            }
        },
    }
}

/// Arguments must be known. Any variable or header may be given besides those of the record.
fn refuse_unknown(recipe: &Recipe, answers: &Answers) -> Result<(), BuildError> {
    let inputs = &recipe.inputs.0;
    let is_local = matches!(recipe.start, Start::Local { .. });
    if let Some(name) = answers
        .args
        .keys()
        .find(|name| !inputs.iter().any(|input| input.kind == InputKind::Arg && input.name == **name))
    {
        let known: Vec<&str> =
            inputs.iter().filter(|input| input.kind == InputKind::Arg).map(|input| input.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(BuildError::Invalid(format!("the server has no argument `{name}`; its arguments: {known}")));
    }
    if is_local && !answers.headers.is_empty() {
        return Err(BuildError::Invalid("a server on this computer has no headers".to_owned()));
    }
    if !is_local && !answers.env.is_empty() {
        return Err(BuildError::Invalid("a server on the web has no environment variables".to_owned()));
    }
    if let Some(name) = answers.headers.keys().find(|name| !is_header(name)) {
        return Err(BuildError::Invalid(format!("invalid header name `{name}`")));
    }
    Ok(())
}

/// The values of a recipe's inputs, by index.
struct Values(Vec<Vec<String>>);

impl Values {
    fn read(recipe: &Recipe, answers: &Answers) -> Result<Values, BuildError> {
        let inputs = &recipe.inputs.0;
        let mut lacking = Vec::new();
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut given = answers.get(input);
            if given.is_empty() && input.required {
                given.extend(input.default.clone().filter(|value| !value.is_empty()));
            }
            if given.is_empty() && input.required {
                lacking.push(input.clone());
            }
            if !input.repeated && given.len() > 1 {
                return Err(BuildError::Invalid(format!("`{}` can have one value only", input.name)));
            }
            if let Some(value) = given.iter().find(|value| !input.choices.is_empty() && !input.choices.contains(value))
            {
                let choices = input.choices.join(", ");
                let value = if input.secret { "the value".to_owned() } else { format!("`{value}`") };
                let sentence = format!("{value} is not possible for `{}`: use one of {choices}", input.name);
                return Err(BuildError::Invalid(sentence));
            }
            if given.iter().any(|value| value.contains('\0')) {
                return Err(BuildError::Invalid(format!("the value of `{}` is invalid", input.name)));
            }
            values.push(given);
        }
        if lacking.is_empty() {
            Ok(Values(values))
        } else {
            Err(BuildError::Missing(Missing(lacking)))
        }
    }

    fn one(&self, index: usize) -> Option<String> {
        self.0.get(index)?.first().cloned()
    }

    /// Replaces secrets by references to the keychain. References that the user gave stay.
    fn take_secrets(&mut self, recipe: &Recipe, server: &str) -> Vec<(String, String)> {
        let in_url: Vec<usize> = match &recipe.start {
            // References are not replaced in a URL, because URLs appear in logs.
            Start::Remote { url, .. } => url.inputs().collect(),
            Start::Local { .. } => Vec::new(),
        };
        let mut secrets = Vec::new();
        for (index, (input, values)) in recipe.inputs.0.iter().zip(&mut self.0).enumerate() {
            if !input.secret || in_url.contains(&index) {
                continue;
            }
            for (number, value) in values.iter_mut().enumerate().filter(|(_, value)| !value.contains("${")) {
                let numbered = if number == 0 { String::new() } else { format!("-{}", number + 1) };
                let name = keychain_name(&format!("{server}.{}{numbered}", input.name));
                let reference = format!("${{keyring:{name}}}");
                secrets.push((name, std::mem::replace(value, reference)));
            }
        }
        secrets
    }
}

/// The variables or headers that have a value, and those that the user added. `same` compares names.
fn fields(
    templates: &[(String, Template)],
    values: &Values,
    given: &BTreeMap<String, String>,
    same: fn(&str, &str) -> bool,
) -> Result<Map<String, Value>, BuildError> {
    let mut fields = Map::new();
    for (name, template) in templates {
        if let Some(text) = text_of(template, values)? {
            fields.insert(name.clone(), json!(text));
        }
    }
    for (name, value) in given {
        let is_known = templates.iter().any(|(known, _)| same(known, name));
        if !is_known && !value.is_empty() {
            fields.insert(name.clone(), json!(value));
        }
    }
    Ok(fields)
}

fn arguments(words: &[Word], values: &Values, env: &Map<String, Value>) -> Result<Vec<String>, BuildError> {
    let mut arguments = Vec::new();
    for word in words {
        match word {
            Word::Variables => {
                arguments.extend(env.keys().flat_map(|name| ["-e".to_owned(), name.clone()]));
            }
            Word::Value(template) => arguments.extend(filled(template, values)?),
            Word::Option(flag, template) => {
                arguments.extend(filled(template, values)?.into_iter().flat_map(|value| [flag.clone(), value]));
            }
            Word::Switch(flag, index) => {
                arguments.extend(values.one(*index).filter(|value| value == "true").map(|_| flag.clone()));
            }
        }
    }
    Ok(arguments)
}

/// The text of a template; several if its only input has several values.
fn filled(template: &Template, values: &Values) -> Result<Vec<String>, BuildError> {
    let several = template.inputs().find_map(|index| values.0.get(index).filter(|values| values.len() > 1));
    match several {
        Some(several) => Ok(several.clone()),
        None => Ok(text_of(template, values)?.into_iter().collect()),
    }
}

/// The text of a template; `None` if a value is missing.
fn text_of(template: &Template, values: &Values) -> Result<Option<String>, BuildError> {
    if template.adds_reference(|index| values.one(index)) {
        let sentence = "the record joins texts to a reference to a secret or variable of this computer (`${`)";
        return Err(BuildError::Invalid(sentence.to_owned()));
    }
    Ok(template.fill(|index| values.one(index)))
}

fn remote_url(template: &Template, values: &Values) -> Result<String, BuildError> {
    let first = match template.0.first() {
        Some(Piece::Input(index)) => Some(*index),
        _ => None,
    };
    let bad = template.inputs().find(|index| {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric()
                || matches!(c, '-' | '_' | '.' | '~')
                || Some(*index) == first && matches!(c, ':' | '/')
        };
        values.one(*index).is_some_and(|value| !value.chars().all(allowed))
    });
    if bad.is_some() {
        return Err(BuildError::Invalid(
            "a part of the URL may have letters, digits, `-`, `_`, `.` and `~` only".to_owned(),
        ));
    }
    let url = template.fill(|index| values.one(index)).unwrap_or_default();
    match remote_problem(&url) {
        None => Ok(url),
        Some(problem) => Err(BuildError::Invalid(format!("could not use `{url}`: {problem}"))),
    }
}
