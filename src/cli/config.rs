//! `mcpproxy config`: the configuration file.

use std::process::Command;

use serde::Serialize;

use crate::cli::args::ConfigCommand;
use crate::cli::context::Context;
use crate::cli::core_link::config_error;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::prompt::is_interactive;
use crate::config::store::StoreError;
use crate::os::environment::Environment;

/// The variables that name the editor; the first one that is set is used.
const EDITORS: [&str; 2] = ["VISUAL", "EDITOR"];

/// The result of `config validate`.
#[derive(Serialize)]
struct Valid {
    path: String,
    valid: bool,
    servers: usize,
}

/// Runs a command on the configuration file.
pub fn run(context: &Context, command: &ConfigCommand) -> Result<(), CliError> {
    match command {
        // Printed before a context exists.
        ConfigCommand::Schema => Ok(()),
        ConfigCommand::Path => {
            let path = context.store.path().display().to_string();
            print(context.format, &path, String::clone)
        }
        ConfigCommand::Validate => validate(context),
        ConfigCommand::Edit => edit(context),
    }
}

fn validate(context: &Context) -> Result<(), CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let valid = Valid {
        path: context.store.path().display().to_string(),
        valid: true,
        servers: config.servers.len(),
    };
    print(context.format, &valid, |valid| format!("`{}` is valid ({} servers).", valid.path, valid.servers))
}

/// Opens an editor and checks the result. A running core reads a valid file by itself.
fn edit(context: &Context) -> Result<(), CliError> {
    match context.store.load_or_create() {
        // An invalid file is what the editor is for.
        Ok(_) | Err(StoreError::Config(_)) => {}
        Err(error) => return Err(config_error(&error)),
    }
    let variables = Environment::read(|name| EDITORS.contains(&name));
    let editor = EDITORS.iter().find_map(|name| variables.non_empty(name));
    if editor.is_none() && !cfg!(windows) && !is_interactive() {
        return Err(CliError::new("INVALID_INPUT", "could not open `vi` without a terminal")
            .guided(format!("set EDITOR, or edit `{}` yourself", context.store.path().display())));
    }
    let editor = editor.unwrap_or(if cfg!(windows) { "notepad" } else { "vi" });
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(editor);
    let failed = |cause: String| {
        CliError::new("OPERATION_FAILED", format!("could not edit the configuration with `{editor}`: {cause}"))
            .guided(format!("set EDITOR, or edit `{}` yourself", context.store.path().display()))
    };
    let status = Command::new(program).args(words).arg(context.store.path()).status();
    let status = status.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    validate(context)
}
