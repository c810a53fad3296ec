//! Text of a record with inputs in it: `Bearer {token}`.

use std::collections::BTreeMap;

use crate::contract::registry::{InputKind, RegistryInput};
use crate::contract::visible_text::is_hidden;
use crate::registries::identifier::is_input;
use crate::registries::record::{Input, shown};

/// Longest fixed value, in bytes.
const LONGEST_VALUE: usize = 2000;
const TOO_LONG: &str = "a value in it is too long or has invisible characters";

/// A text with inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Template(pub Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Fixed(String),
    /// Index of an input.
    Input(usize),
}

impl Template {
    pub(crate) fn fixed(text: &str) -> Template {
        Template(vec![Piece::Fixed(text.to_owned())])
    }

    /// Indexes of its inputs.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Input(index) => Some(*index),
            Piece::Fixed(_) => None,
        })
    }

    /// Its text with values; `None` if one is missing.
    pub(crate) fn fill(&self, value: impl Fn(usize) -> Option<String>) -> Option<String> {
        let texts = self.0.iter().map(|piece| match piece {
            Piece::Fixed(text) => Some(text.clone()),
            Piece::Input(index) => value(*index),
        });
        texts.collect()
    }

    /// Whether its text contains a reference, such as `${env:HOME}`, that is in none of the values. Each text of a record
    /// is checked by itself, but `$` and `{env:HOME}` could become one when they are joined.
    pub(crate) fn adds_reference(&self, value: impl Fn(usize) -> Option<String>) -> bool {
        let count = |text: &str| text.matches("${").count();
        let given: usize = self.inputs().filter_map(&value).map(|text| count(&text)).sum();
        self.fill(value).is_some_and(|text| count(&text) > given)
    }

    /// Its text with the names of inputs in braces.
    pub(crate) fn shown(&self, inputs: &Inputs) -> String {
        self.fill(|index| inputs.0.get(index).map(|input| format!("{{{}}}", input.name))).unwrap_or_default()
    }
}

/// The inputs of an option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inputs(pub Vec<RegistryInput>);

impl Inputs {
    /// Adds an input, unless it exists already. Returns its index.
    pub(crate) fn add(&mut self, kind: InputKind, name: &str, input: &Input, repeated: bool) -> Result<usize, String> {
        check(input)?;
        if let Some(index) = self.0.iter().position(|known| known.kind == kind && known.name == name) {
            if let Some(known) = self.0.get_mut(index) {
                known.required |= input.is_required;
                known.secret |= input.is_secret;
            }
            return Ok(index);
        }
        self.0.push(RegistryInput {
            kind,
            name: name.to_owned(),
            description: input.description.clone(),
            required: input.is_required,
            secret: input.is_secret,
            repeated,
            default: input.default.clone(),
            choices: input.choices.clone(),
            placeholder: input.placeholder.clone(),
        });
        Ok(self.0.len() - 1)
    }

    /// Reads a value: fixed text with variables, or a question that has this kind and name.
    ///
    /// # Errors
    /// The record has a value that MCPProxy refuses; the message says why.
    pub(crate) fn value(
        &mut self,
        kind: InputKind,
        name: &str,
        input: &Input,
        repeated: bool,
    ) -> Result<Template, String> {
        check(input)?;
        match input.value.as_deref() {
            Some(text) => self.template(text, &input.variables, input.is_required),
            None => Ok(Template(vec![Piece::Input(self.add(kind, name, input, repeated)?)])),
        }
    }

    /// Reads a text with variables. A name in braces that is not a variable is text. If the text is required, so are its
    /// variables.
    ///
    /// # Errors
    /// The record has a value that MCPProxy refuses; the message says why.
    pub(crate) fn template(
        &mut self,
        text: &str,
        variables: &BTreeMap<String, Input>,
        is_required: bool,
    ) -> Result<Template, String> {
        if text.len() > LONGEST_VALUE {
            return Err(TOO_LONG.to_owned());
        }
        let (mut pieces, mut fixed, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            fixed.push_str(before);
            let found = after.split_once('}').and_then(|(name, after)| Some((name, variables.get(name)?, after)));
            match found {
                Some((name, variable, after)) => {
                    if !is_input(name) {
                        return Err(format!("the name of its input `{}` is invalid", shown(name)));
                    }
                    check(variable)?;
                    match variable.value.as_deref() {
                        Some(value) => fixed.push_str(value),
                        None => {
                            if !fixed.is_empty() {
                                pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
                            }
                            let variable = Input {
                                is_required: is_required || variable.is_required,
                                ..variable.clone()
                            };
                            pieces.push(Piece::Input(self.add(InputKind::Arg, name, &variable, false)?));
                        }
                    }
                    rest = after;
                }
                None => {
                    fixed.push('{');
                    rest = after;
                }
            }
        }
        fixed.push_str(rest);
        if !fixed.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Fixed(fixed));
        }
        Ok(Template(pieces))
    }
}

/// Refuses values that MCPProxy would replace by a secret or variable of this computer, and values that cannot be shown
/// to the user as they are.
fn check(input: &Input) -> Result<(), String> {
    let texts = input.value.iter().chain(&input.default).chain(&input.choices);
    for text in texts {
        if text.contains("${") {
            return Err("it refers to variables or secrets of this computer (`${`)".to_owned());
        }
        if text.len() > LONGEST_VALUE || text.chars().any(is_hidden) {
            return Err(TOO_LONG.to_owned());
        }
    }
    Ok(())
}
