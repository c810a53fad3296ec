//! Arguments in a record: those of the package, which its program reads, and those of the package manager, of which only
//! known ones are passed on. Any other could run another program or open this computer to the package.

use crate::contract::registry::InputKind;
use crate::registries::identifier::{is_flag, is_input, is_variable};
use crate::registries::record::{Argument, Input, shown};
use crate::registries::template::{Inputs, Piece, Template};

/// One or two words of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// `-e NAME` for every environment variable of the entry.
    Variables,
    Value(Template),
    /// An option with its value.
    Option(String, Template),
    /// An option without a value, if the input is `true`.
    Switch(String, usize),
}

impl Word {
    pub(crate) fn fixed(text: &str) -> Word {
        Word::Value(Template::fixed(text))
    }
}

/// Reads the arguments of the package's program.
///
/// # Errors
/// The record has an argument that MCPProxy cannot pass on; the message says which.
pub(crate) fn of_package(arguments: &[Argument], inputs: &mut Inputs) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        match argument.kind.as_str() {
            "named" => words.push(named(argument, inputs)?),
            _ => words.push(Word::Value(positional(argument, index, inputs)?)),
        }
    }
    Ok(words)
}

fn named(argument: &Argument, inputs: &mut Inputs) -> Result<Word, String> {
    let flag = argument.name.trim();
    if !is_flag(flag) {
        return Err(format!("the name of its argument `{}` is invalid", shown(flag)));
    }
    let name = flag.trim_start_matches('-');
    let input = &argument.input;
    if input.value.is_none() && input.format == "boolean" {
        return Ok(Word::Switch(flag.to_owned(), inputs.add(InputKind::Arg, name, input, false)?));
    }
    if input.value.as_deref() == Some("") {
        return Ok(Word::fixed(flag));
    }
    Ok(Word::Option(flag.to_owned(), inputs.value(InputKind::Arg, name, input, argument.is_repeated)?))
}

fn positional(argument: &Argument, index: usize, inputs: &mut Inputs) -> Result<Template, String> {
    let numbered = format!("argument-{}", index + 1);
    let hints = [argument.value_hint.as_str(), argument.name.as_str()];
    let name = hints.into_iter().find(|hint| is_input(hint)).unwrap_or(&numbered);
    inputs.value(InputKind::Arg, name, &argument.input, argument.is_repeated)
}

/// The effect of the arguments of the package manager.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    /// Words before the package.
    pub words: Vec<Word>,
    /// Environment variables of a container.
    pub env: Vec<(String, Template)>,
    /// Whether the package and the program in it have different names: `uvx --from PACKAGE PROGRAM`.
    pub names_program: bool,
}

/// Reads the arguments of `runner`. Options that it has anyway are left out.
///
/// # Errors
/// The record passes an option that is not known to be harmless, or an invalid value; the message says which.
pub(crate) fn of_runtime(
    arguments: &[Argument],
    runner: &str,
    package: &str,
    inputs: &mut Inputs,
) -> Result<Runtime, String> {
    let mut runtime = Runtime::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        // Some publishers write an option as a positional value, and its value as the next one.
        let (flag, value) = match argument.kind.as_str() {
            "named" => (argument.name.trim(), argument.input.value.is_some().then_some(argument)),
            _ => (fixed_value(argument).trim(), None),
        };
        match (runner, flag) {
            ("npx", "-y" | "--yes")
            | ("dnx", "-y" | "--yes")
            | ("docker", "run" | "-i" | "--interactive" | "--rm" | "--init") => {}
            ("uvx", "--from") => {
                let same =
                    |argument: &Argument| argument.input.value.as_deref().is_none_or(|value| is_same(value, package));
                if !value.is_none_or(same) {
                    return Err("it runs a program of another package (`--from`)".to_owned());
                }
                runtime.names_program = true;
            }
            ("docker", "-e" | "--env") => {
                let value = value.or_else(|| rest.next()).ok_or("an option for Docker has no value")?;
                runtime.env.extend(variable(value, inputs)?);
            }
            ("docker", "-v" | "--volume" | "--mount") => {
                let value = value.or_else(|| rest.next()).ok_or("an option for Docker has no value")?;
                runtime.words.push(Word::Option(flag.to_owned(), mount(flag, value, inputs)?));
            }
            ("uvx", "-p" | "--python") if value.is_some_and(is_python) => {
                runtime.words.extend([Word::fixed("--python"), Word::fixed(value.map_or("", fixed_value))]);
            }
            // Some publishers repeat the image that comes after the arguments anyway.
            ("docker", image) if !image.is_empty() && is_same_image(image, package) => {}
            // Left out, because it is not needed.
            _ if argument.input.value.is_none() && !argument.input.is_required => {}
            _ => return Err(format!("it passes `{}` to {runner}, which MCPProxy does not allow", shown(flag))),
        }
    }
    Ok(runtime)
}

fn fixed_value(argument: &Argument) -> &str {
    argument.input.value.as_deref().unwrap_or_default()
}

/// Whether the value is a version of Python, such as `3.13`.
fn is_python(argument: &Argument) -> bool {
    let value = fixed_value(argument);
    !value.is_empty() && value.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether both are the same image, whatever their tags.
fn is_same_image(one: &str, other: &str) -> bool {
    let name = |image: &str| {
        let image = image.split('@').next().unwrap_or_default();
        match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name.to_owned(),
            _ => image.to_owned(),
        }
    };
    name(one) == name(other)
}

/// Whether `--from` names the record's own package.
fn is_same(value: &str, package: &str) -> bool {
    let name = value.split(['=', '@', '[']).next().unwrap_or_default();
    name == package
}

/// `-e NAME=VALUE`; `-e NAME` alone refers to a variable that the record lists.
fn variable(argument: &Argument, inputs: &mut Inputs) -> Result<Option<(String, Template)>, String> {
    let text = argument.input.value.as_deref().unwrap_or_default();
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if !is_variable(name) {
        return Err(format!("it sets the variable `{}`, which MCPProxy does not allow", shown(name)));
    }
    if !text.contains('=') {
        return Ok(None);
    }
    let input = Input {
        value: Some(value.to_owned()),
        ..argument.input.clone()
    };
    Ok(Some((name.to_owned(), inputs.value(InputKind::Env, name, &input, false)?)))
}

/// A directory that the container may use. The user chooses it: a record that names one itself is refused.
fn mount(flag: &str, argument: &Argument, inputs: &mut Inputs) -> Result<Template, String> {
    let template = inputs.value(InputKind::Arg, "mount", &argument.input, false)?;
    let is_chosen = match (flag, template.0.as_slice()) {
        ("--mount", [Piece::Fixed(before), Piece::Input(folder), rest @ ..]) => {
            matches!(before.as_str(), "type=bind,src=" | "type=bind,source=" | "type=bind,readonly,src=")
                && has_no_default(*folder, inputs)
                && keeps_folder(rest, inputs)
        }
        ("-v" | "--volume", [Piece::Input(folder), rest @ ..]) => {
            has_no_default(*folder, inputs)
                && rest.first().is_none_or(|next| matches!(next, Piece::Fixed(text) if text.starts_with(':')))
        }
        _ => false,
    };
    if is_chosen {
        Ok(template)
    } else {
        Err("it gives the container a folder that you cannot choose".to_owned())
    }
}

/// Whether the user must give a value: a default would be the record's choice.
fn has_no_default(index: usize, inputs: &Inputs) -> bool {
    inputs.0.get(index).is_some_and(|input| input.default.is_none())
}

/// Whether the rest of a `--mount` neither continues the path of the folder nor names another one: Docker uses the last
/// `src` of several.
fn keeps_folder(rest: &[Piece], inputs: &Inputs) -> bool {
    let is_one_field = |text: &String| !text.contains([',', '"']);
    let mut text = String::new();
    for piece in rest {
        match piece {
            Piece::Fixed(fixed) => text.push_str(fixed),
            Piece::Input(index) => {
                let input = inputs.0.get(*index);
                if !input.is_some_and(|input| input.default.iter().chain(&input.choices).all(is_one_field)) {
                    return false;
                }
                text.push('x');
            }
        }
    }
    let mut keys = text.split(',').skip(1).map(|field| field.split('=').next().unwrap_or_default());
    (text.is_empty() || text.starts_with(','))
        && keys.all(|key| matches!(key, "dst" | "destination" | "target" | "readonly" | "ro"))
}
