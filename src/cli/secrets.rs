//! `mcpproxy secrets`: what `${keyring:NAME}` stands for. Asks the keychain itself, as the core need not run.

use std::io::Read;

use crate::cli::args::SecretsCommand;
use crate::cli::error::CliError;
use crate::os::keychain::{self, Keychain as _, KeychainError, SystemKeychain};

/// Longest secret that every system's keychain takes (Windows: 2560 bytes of UTF-16).
const LONGEST: u64 = 1280;

/// Keeps or forgets a secret.
pub async fn run(command: SecretsCommand) -> Result<(), CliError> {
    match command {
        SecretsCommand::Set(secret) => {
            check(&secret.name)?;
            let text = read()?;
            let name = secret.name.clone();
            keychain::ask(move || SystemKeychain.write(&name, &text)).await.map_err(refused)?;
            eprintln!("Kept. A server gets it by ${{keyring:{}}} in its entry.", secret.name);
            Ok(())
        }
        SecretsCommand::Remove(secret) => {
            let name = secret.name.clone();
            match keychain::ask(move || SystemKeychain.remove(&name)).await.map_err(refused)? {
                true => Ok(()),
                false => Err(CliError::new("NOT_FOUND", format!("the keychain has no secret `{}`", secret.name))),
            }
        }
    }
}

fn check(name: &str) -> Result<(), CliError> {
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    fits.then_some(()).ok_or_else(|| {
        CliError::new("INVALID_ARGUMENT", format!("`{name}` is no name: letters, digits, `-`, `_` and `.`"))
    })
}

/// The secret: standard input without the line end that `echo` adds.
fn read() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 2).read_to_string(&mut text);
    read.map_err(|error| CliError::new("INVALID_ARGUMENT", format!("standard input: {error}")))?;
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match u64::try_from(secret.len()) {
        Ok(1..=LONGEST) => Ok(secret.to_owned()),
        _ => Err(CliError::new("INVALID_ARGUMENT", format!("a secret has 1 to {LONGEST} bytes"))),
    }
}

fn refused(error: KeychainError) -> CliError {
    let told = CliError::new("OPERATION_FAILED", error.to_string());
    match error {
        KeychainError::None(_) => told.guided("use `${env:NAME}` instead, with the variable set for the core"),
        _ => told,
    }
}
