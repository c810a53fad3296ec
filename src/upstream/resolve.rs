//! Whether a server may start, and its entry with the values its references stand for.

use std::collections::BTreeMap;

use crate::config::ServerConfig;
use crate::config::references::{self, Kind, Unresolved};
use crate::os::environment::Environment;
use crate::os::keychain::{self, Keychain as _, SystemKeychain};
use crate::upstream::snapshot::Phase;

/// The entry with what its references stand for.
pub async fn resolved(config: &ServerConfig) -> Result<ServerConfig, Phase> {
    let wanted = references::names(config, Kind::Variable);
    let environment = Environment::read(|name| wanted.contains(name));
    let mut secrets = BTreeMap::new();
    for name in references::names(config, Kind::Secret) {
        let wanted = name.clone();
        match keychain::ask(move || SystemKeychain.read(&wanted)).await {
            Ok(secret) => secrets.extend(secret.map(|secret| (name, secret))),
            Err(error) => return Err(Phase::Failed(format!("its secret `{name}` cannot be had: {error}"))),
        }
    }
    let value = |kind, name: &str| match kind {
        Kind::Variable => environment.get(name),
        Kind::Secret => secrets.get(name).map(String::as_str),
    };
    references::resolved(config, value).map_err(|error| match error {
        Unresolved::NotSet(variable) => Phase::MissingEnvVar(variable),
        other => Phase::Misconfigured(other.to_string()),
    })
}

/// The phase of a server that is not to be started.
pub fn inactive_phase(config: &ServerConfig) -> Option<Phase> {
    if !config.enabled {
        return Some(Phase::Disabled);
    }
    if config.quarantined {
        return Some(Phase::Quarantined);
    }
    config.must_be_isolated().map(Phase::Misconfigured)
}
