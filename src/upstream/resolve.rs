//! Whether a server may start, and its entry with the values its references stand for.

use std::collections::BTreeMap;

use crate::config::ServerConfig;
use crate::config::references::{self, Kind, Unresolved};
use crate::diagnostics::fault::{Failure, Fault};
use crate::os::environment::{Environment, home_directory};
use crate::os::keychain::{self, Keychain as _, KeychainError, SystemKeychain};
use crate::upstream::snapshot::Phase;
use crate::upstream::start_error::with_home;

/// The entry with the values of its references, and with `~` expanded.
///
/// # Errors
/// The phase of a server that cannot start for that reason.
pub async fn resolved(config: &ServerConfig) -> Result<ServerConfig, Phase> {
    let wanted = references::names(config, Kind::Variable);
    // Most entries refer to no variable, and the environment may be long.
    let environment = if wanted.is_empty() {
        Environment::default()
    } else {
        Environment::read(|name| wanted.contains(name))
    };
    let mut secrets = BTreeMap::new();
    for name in references::names(config, Kind::Secret) {
        let wanted = name.clone();
        match keychain::ask(move || SystemKeychain.read(&wanted)).await {
            Ok(secret) => secrets.extend(secret.map(|secret| (name, secret))),
            Err(error) => {
                let text = format!("could not read secret `{name}`: {error}");
                return Err(Phase::Failed(Failure::new(keychain_fault(&error), text)));
            }
        }
    }
    let value = |kind, name: &str| match kind {
        Kind::Variable => environment.get(name),
        Kind::Secret => secrets.get(name).map(String::as_str),
    };
    let resolved = references::resolved(config, value).map_err(|error| match error {
        Unresolved::NotSet(variable) => Phase::MissingEnvVar(variable),
        Unresolved::NotKept(ref secret) => {
            let secret = secret.clone();
            Phase::Misconfigured(Failure::new(Fault::MissingSecret { secret }, error.to_string()))
        }
        Unresolved::Unknown(_) => Phase::Misconfigured(Failure::new(Fault::InvalidEntry, error.to_string())),
    })?;
    Ok(with_home(resolved, home_directory().as_deref()))
}

/// The kind of a failure of the keychain.
pub fn keychain_fault(error: &KeychainError) -> Fault {
    match error {
        KeychainError::Locked => Fault::KeychainLocked,
        KeychainError::None(_) | KeychainError::Refused(_) => Fault::KeychainUnavailable,
    }
}

/// The phase of a server that must not be started.
pub fn inactive_phase(config: &ServerConfig) -> Option<Phase> {
    if !config.enabled {
        return Some(Phase::Disabled);
    }
    config.quarantined.then_some(Phase::Quarantined)
}
