//! `mcpproxy secrets`: the values behind `${keyring:NAME}`. Uses the keychain directly, without a running core.

use std::io::Read;

use crate::cli::args::SecretsCommand;
use crate::cli::error::CliError;
use crate::os::keychain::{self, Keychain as _, KeychainError, SystemKeychain};

/// Largest secret that the keychain of every system accepts, in bytes (Windows: 2560 bytes of UTF-16).
const MAX_LENGTH: u64 = 1280;

/// Stores or deletes a secret.
pub async fn run(command: SecretsCommand) -> Result<(), CliError> {
    match command {
        SecretsCommand::Set(secret) => {
            check(&secret.name)?;
            let text = read()?;
            let name = secret.name.clone();
            keychain::ask(move || SystemKeychain.write(&name, &text)).await.map_err(refused)?;
            eprintln!("Saved. Use it in a server's entry as ${{keyring:{}}}", secret.name);
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
        CliError::new("INVALID_ARGUMENT", format!("invalid secret name `{name}`: use letters, digits, `-`, `_` or `.`"))
    })
}

/// The secret from standard input, without the line ending that `echo` adds.
fn read() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_LENGTH + 2).read_to_string(&mut text);
    read.map_err(|error| CliError::new("INVALID_ARGUMENT", format!("could not read standard input: {error}")))?;
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match u64::try_from(secret.len()) {
        Ok(1..=MAX_LENGTH) => Ok(secret.to_owned()),
        _ => Err(CliError::new("INVALID_ARGUMENT", format!("secrets must be 1 to {MAX_LENGTH} bytes long"))),
    }
}

fn refused(error: KeychainError) -> CliError {
    let failed = CliError::new("OPERATION_FAILED", error.to_string());
    match error {
        KeychainError::None(_) => {
            failed.guided("use `${env:NAME}` instead and set the variable where MCPProxy is started")
        }
        _ => failed,
    }
}
