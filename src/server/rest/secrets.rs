//! `/api/v1/secrets`: the names of secrets and variables to which servers refer. A value never leaves the keychain here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;

use crate::config::ServerConfig;
use crate::config::references::{self, Kind};
use crate::contract::api::{ReferenceKind, SecretList, SecretRef, SecretStatus};
use crate::os::environment::Environment;
use crate::os::keychain::{self, Keychain as _, SystemKeychain};
use crate::server::rest::response::ok;
use crate::server::state::App;

/// A keychain that the user must unlock first counts as unreadable.
const KEYCHAIN_LIMIT: Duration = Duration::from_secs(5);

/// `GET /api/v1/secrets`
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    let config = app.config.current();
    let environment_vars = variables(&config.servers);
    let mut secrets = named(&config.servers, Kind::Secret);
    for secret in &mut secrets {
        let name = secret.secret_ref.name.clone();
        let read = keychain::ask(move || SystemKeychain.read(&name));
        let Ok(Ok(found)) = tokio::time::timeout(KEYCHAIN_LIMIT, read).await else {
            // The keychain would not answer for the other names either.
            break;
        };
        secret.is_set = Some(found.is_some());
    }
    ok(SecretList {
        total_secrets: secrets.len(),
        total_env_vars: environment_vars.len(),
        secrets,
        environment_vars,
    })
}

fn variables(servers: &[ServerConfig]) -> Vec<SecretStatus> {
    let mut variables = named(servers, Kind::Variable);
    let environment = Environment::read(|name| variables.iter().any(|known| known.secret_ref.name == name));
    for variable in &mut variables {
        variable.is_set = Some(environment.get(&variable.secret_ref.name).is_some());
    }
    variables
}

/// Returns the names of one kind, each with the servers that use it.
fn named(servers: &[ServerConfig], kind: Kind) -> Vec<SecretStatus> {
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for server in servers {
        for name in references::names(server, kind) {
            used.entry(name).or_default().push(server.name.clone());
        }
    }
    let word = match kind {
        Kind::Variable => ReferenceKind::Env,
        Kind::Secret => ReferenceKind::Keyring,
    };
    let status = |(name, used_by): (String, Vec<String>)| SecretStatus {
        secret_ref: SecretRef {
            kind: word.clone(),
            original: format!("${{{word}:{name}}}"),
            name,
        },
        is_set: None,
        used_by,
    };
    used.into_iter().map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_once_with_their_servers() {
        let server = |name: &str, value: &str| {
            let mut server = ServerConfig {
                name: name.to_owned(),
                ..ServerConfig::default()
            };
            server.env.insert("K".to_owned(), value.to_owned());
            server
        };
        let servers = [
            server("a", "${keyring:token} ${env:NOT_SET_HERE_1}"),
            server("b", "${keyring:token}"),
        ];
        let secrets = named(&servers, Kind::Secret);
        assert_eq!(secrets.len(), 1);
        assert_eq!((secrets[0].secret_ref.original.as_str(), secrets[0].is_set), ("${keyring:token}", None));
        assert_eq!(secrets[0].used_by, ["a", "b"]);
        let variables = variables(&servers);
        assert_eq!((variables[0].secret_ref.kind.word(), variables[0].is_set), ("env", Some(false)));
    }
}
