//! `mcpproxy add`: adds a server from a registry, and asks for what it needs.

use serde_json::{Value, json};

use crate::cli::add::{add_entry, check_name, environment, headers, text_fields};
use crate::cli::args::AddFoundArguments;
use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::output::say;
use crate::cli::prompt::{ask_line, is_interactive};
use crate::cli::registry::{registries, say_age};
use crate::cli::secrets::refused;
use crate::contract::registry::{RegistryInput, RegistryOption};
use crate::os::hidden_input;
use crate::os::keychain::{self, Keychain as _, SystemKeychain};
use crate::registries::{Answers, BuildError, Built, Found, Missing};

pub(super) async fn add(context: &Context, link: &CoreLink, options: AddFoundArguments) -> Result<(), CliError> {
    let mut answers = given(&options)?;
    if let Some(name) = &options.new_name {
        check_name(name)?;
    }
    let found = registries(context)?.find(options.registry.as_deref(), &options.server).await?;
    say_age(found.cache.as_ref());
    let option = choose(&found, options.option.as_deref())?;
    if is_interactive() {
        ask_for_inputs(&option, &mut answers)?;
    }
    let build = || found.build(Some(&option.id), options.new_name.as_deref(), &answers, options.no_keychain);
    let Built {
        name,
        mut entry,
        secrets,
    } = build().map_err(|error| explain(&error, &options.server))?;
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let exists = config.servers.iter().any(|server| server.name == name);
    // A secret of an existing server must not be replaced.
    if !exists {
        store(secrets).await?;
    }
    if config.quarantines() {
        entry.insert("quarantined".to_owned(), json!(true));
    }
    if !context.quiet && !exists {
        let runs = option.runs.clone().unwrap_or_default();
        say(&format!("{} from the registry `{}` runs: {runs}", found.described().name, found.registry));
    }
    add_entry(context, link, &name, Value::Object(entry), options.if_not_exists).await
}

/// The answers in the flags.
fn given(options: &AddFoundArguments) -> Result<Answers, CliError> {
    let mut answers = Answers {
        env: text_fields(environment(&options.env)?),
        headers: text_fields(headers(&options.header)?),
        ..Answers::default()
    };
    for pair in &options.arg {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::usage("INVALID_INPUT", "invalid `--arg`: expected NAME=VALUE"));
        };
        answers.args.entry(name.trim_start_matches('-').to_owned()).or_default().push(value.to_owned());
    }
    Ok(answers)
}

/// The option to use: the named one, the only usable one, or the one that the user chooses.
fn choose(found: &Found, wanted: Option<&str>) -> Result<RegistryOption, CliError> {
    let server = found.described();
    let usable: Vec<&RegistryOption> = server.options.iter().filter(|option| option.is_usable()).collect();
    let ids = || server.options.iter().map(|option| option.id.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(id) = wanted {
        let option = server.options.iter().find(|option| option.id == id).ok_or_else(|| {
            CliError::usage("INVALID_INPUT", format!("`{}` has no option `{id}`", server.name))
                .guided(format!("its options: {}", ids()))
        })?;
        return match &option.unsupported {
            None => Ok(option.clone()),
            Some(reason) => Err(unusable(&server.name, reason)),
        };
    }
    match usable.as_slice() {
        [] => {
            let reasons: Vec<&str> = server.options.iter().filter_map(|option| option.unsupported.as_deref()).collect();
            let reason = if reasons.is_empty() {
                "its record does not say what to run".to_owned()
            } else {
                reasons.join("; ")
            };
            Err(unusable(&server.name, &reason))
        }
        [first, others @ ..] if others.is_empty() || !is_interactive() => Ok((*first).clone()),
        several => {
            say(&format!("{} can run in several ways:", server.name));
            for (index, option) in several.iter().enumerate() {
                say(&format!("  {}  {}: {}", index + 1, option.id, option.runs.clone().unwrap_or_default()));
            }
            loop {
                let answer = ask_line("Which one? [1] ")?;
                let number = if answer.is_empty() { Some(1) } else { answer.parse::<usize>().ok() };
                if let Some(option) = number.and_then(|number| several.get(number.checked_sub(1)?)) {
                    return Ok((*option).clone());
                }
            }
        }
    }
}

fn unusable(name: &str, reason: &str) -> CliError {
    CliError::new("INVALID_INPUT", format!("could not add `{name}`: {reason}"))
        .guided("if its documentation gives a command: mcpproxy upstream add NAME -- COMMAND")
}

/// Asks for every required input without a value, and shows which optional ones there are.
fn ask_for_inputs(option: &RegistryOption, answers: &mut Answers) -> Result<(), CliError> {
    for input in option.inputs.iter().filter(|input| input.required) {
        if answers.has(input) {
            continue;
        }
        say(&format!("\n{}{}", input.name, describe(input)));
        let value = ask_value(input)?;
        if !value.is_empty() {
            answers.add(input, value);
        }
    }
    let optional: Vec<String> = option
        .inputs
        .iter()
        .filter(|input| !input.required && !answers.has(input))
        .map(|input| input.kind.flag(&input.name))
        .collect();
    if !optional.is_empty() {
        say(&format!("\nOptional: {}", optional.join(", ")));
    }
    Ok(())
}

fn describe(input: &RegistryInput) -> String {
    if input.description.is_empty() {
        String::new()
    } else {
        format!(": {}", input.description)
    }
}

fn ask_value(input: &RegistryInput) -> Result<String, CliError> {
    loop {
        let value = if input.secret {
            let typed = hidden_input::ask("Value (not shown): ");
            eprintln!();
            typed.map_err(|error| CliError::new("INVALID_INPUT", format!("could not read the value: {error}")))?
        } else {
            let choices = if input.choices.is_empty() {
                String::new()
            } else {
                format!(" ({})", input.choices.join(", "))
            };
            let default = input.default.as_ref().map(|default| format!(" [{default}]")).unwrap_or_default();
            ask_line(&crate::contract::visible_text::one_line(&format!("Value{choices}{default}: ")))?
        };
        let fits = input.choices.is_empty() || input.choices.contains(&value);
        if value.is_empty() && input.default.is_some() || !value.is_empty() && fits {
            return Ok(value);
        }
        say(if value.is_empty() {
            "A value is required. Ctrl-C cancels."
        } else {
            "Use one of the values in parentheses."
        });
    }
}

/// Stores secrets in the keychain.
async fn store(secrets: Vec<(String, String)>) -> Result<(), CliError> {
    for (name, secret) in secrets {
        let shown = name.clone();
        let stored = keychain::ask(move || SystemKeychain.write(&name, &secret)).await;
        stored.map_err(|error| {
            refused(error)
                .guided("use `--env 'NAME=${env:NAME}'`, or --no-keychain to keep it in the configuration file")
        })?;
        say(&format!("Stored the secret `{shown}` in the keychain."));
    }
    Ok(())
}

fn explain(error: &BuildError, server: &str) -> CliError {
    match error {
        BuildError::Missing(Missing(inputs)) => {
            let flags: Vec<String> = inputs.iter().map(|input| input.kind.flag(&input.name)).collect();
            CliError::usage("INVALID_INPUT", format!("could not ask without a terminal: {error}"))
                .guided(format!("mcpproxy add {server} {}", flags.join(" ")))
        }
        BuildError::Invalid(_) | BuildError::NoOption(..) => CliError::usage("INVALID_INPUT", error.to_string()),
        BuildError::Unusable(..) => CliError::new("INVALID_INPUT", error.to_string()),
    }
}
