//! `mcpproxy secrets`: the values behind `${keyring:NAME}`. Uses the keychain directly, without a running core.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Serialize;

use crate::cli::args::SecretsCommand;
use crate::cli::context::Context;
use crate::cli::core_link::config_error;
use crate::cli::error::CliError;
use crate::cli::output::{print, rows};
use crate::cli::prompt::is_interactive;
use crate::config::references::{self, Kind};
use crate::os::hidden_input;
use crate::os::keychain::{self, Keychain as _, KeychainError, SystemKeychain};
use crate::upstream::oauth::token_store::KEY_PREFIX;

/// Largest secret that the keychain of every system accepts, in bytes (Windows: 2560 bytes of UTF-16).
const MAX_LENGTH: u64 = 1280;

/// Stores, lists or deletes secrets.
pub async fn run(context: &Context, command: SecretsCommand) -> Result<(), CliError> {
    match command {
        SecretsCommand::Set(secret) => {
            check(&secret.name)?;
            let text = read(&secret.name)?;
            let name = secret.name.clone();
            keychain::ask(move || SystemKeychain.write(&name, &text)).await.map_err(refused)?;
            eprintln!("Saved. Use it in a server's entry as ${{keyring:{}}}.", secret.name);
            Ok(())
        }
        SecretsCommand::List => list(context).await,
        SecretsCommand::Remove(secret) => {
            let name = secret.name.clone();
            match keychain::ask(move || SystemKeychain.remove(&name)).await.map_err(refused)? {
                true => {
                    eprintln!("Deleted the secret `{}`.", secret.name);
                    Ok(())
                }
                false => Err(CliError::new("NOT_FOUND", format!("the keychain has no secret `{}`", secret.name))),
            }
        }
    }
}

/// A secret that servers use.
#[derive(Serialize)]
struct ListedSecret {
    name: String,
    used_by: Vec<String>,
    /// Absent if the keychain cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<bool>,
}

/// Lists the secrets in the entries, and those in the keychain that no entry uses.
async fn list(context: &Context) -> Result<(), CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for server in &config.servers {
        for name in references::names(server, Kind::Secret) {
            used.entry(name).or_default().push(server.name.clone());
        }
    }
    let mut listed = Vec::new();
    for (name, used_by) in used {
        let wanted = name.clone();
        let stored = keychain::ask(move || SystemKeychain.read(&wanted)).await.ok().map(|secret| secret.is_some());
        listed.push(ListedSecret { name, used_by, stored });
    }
    let unused = unused(&listed).await;
    listed.extend(unused.into_iter().map(|name| ListedSecret {
        name,
        used_by: Vec::new(),
        stored: Some(true),
    }));
    print(context.format, &listed, |listed| {
        let row = |secret: &ListedSecret| {
            let stored = match secret.stored {
                Some(true) => "yes".to_owned(),
                Some(false) => format!("no: mcpproxy secrets set {}", secret.name),
                None => "unknown".to_owned(),
            };
            let used_by = if secret.used_by.is_empty() { "no server".to_owned() } else { secret.used_by.join(", ") };
            vec![secret.name.clone(), used_by, stored]
        };
        rows(
            &["NAME", "USED BY", "STORED"],
            listed.iter().map(row).collect(),
            "No server uses a secret of the keychain.",
        )
    })
}

/// The names of secrets in the keychain that are not listed. Without a keychain there are none.
async fn unused(listed: &[ListedSecret]) -> Vec<String> {
    let names = keychain::ask(SystemKeychain::names).await.unwrap_or_default();
    names
        .into_iter()
        .filter(|name| !is_key_of_tokens(name) && !listed.iter().any(|one| one.name == *name))
        .collect()
}

/// Whether a secret is the key of stored sign-ins, which only MCPProxy itself uses.
fn is_key_of_tokens(name: &str) -> bool {
    name.starts_with(KEY_PREFIX)
}

fn check(name: &str) -> Result<(), CliError> {
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    fits.then_some(()).ok_or_else(|| {
        CliError::new("INVALID_ARGUMENT", format!("invalid secret name `{name}`: use letters, digits, `-`, `_` or `.`"))
    })
}

/// The secret that the user types unseen at a terminal, or that standard input holds.
fn read(name: &str) -> Result<String, CliError> {
    if !is_interactive() {
        return read_input();
    }
    let typed = hidden_input::ask(&format!("Secret for {name} (not shown): "));
    eprintln!();
    let failed = |error| CliError::new("INVALID_ARGUMENT", format!("could not read the secret: {error}"));
    checked(&typed.map_err(failed)?)
}

/// The secret from standard input, without the line ending that `echo` adds.
fn read_input() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_LENGTH + 2).read_to_string(&mut text);
    read.map_err(|error| CliError::new("INVALID_ARGUMENT", format!("could not read standard input: {error}")))?;
    checked(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)))
}

fn checked(secret: &str) -> Result<String, CliError> {
    match u64::try_from(secret.len()) {
        Ok(1..=MAX_LENGTH) => Ok(secret.to_owned()),
        _ => Err(CliError::new("INVALID_ARGUMENT", format!("secrets must be 1 to {MAX_LENGTH} bytes long"))),
    }
}

pub(super) fn refused(error: KeychainError) -> CliError {
    let failed = CliError::new("OPERATION_FAILED", error.to_string());
    match error {
        KeychainError::None(_) => {
            failed.guided("use `${env:NAME}` instead and set the variable where MCPProxy is started")
        }
        _ => failed,
    }
}
