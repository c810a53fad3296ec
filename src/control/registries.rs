//! Adds servers from registries, and changes which registries are searched.

use std::sync::Arc;

use serde_json::Value;

use crate::config::document::EditError;
use crate::config::store::StoreError;
use crate::contract::failure::FailureKind;
use crate::contract::registry::{AddFromRegistry, AddedEntry, AddedFromRegistry, RegistryInput};
use crate::control::servers::{Origin, ServerControl};
use crate::os::keychain::{self, Keychain as _, KeychainError, SystemKeychain};
use crate::registries::{Answers, BuildError, Built, Found, Missing, Registries, defaults};

/// The reason why a server from a registry was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddFoundError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("could not store the secret in the keychain: {0}")]
    Keychain(#[from] KeychainError),
    #[error("a model cannot store secrets: ask the user to run `mcpproxy add {0}`, which asks for them")]
    SecretOfModel(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AddFoundError {
    /// The kind of the failure.
    pub fn kind(&self) -> FailureKind {
        match self {
            AddFoundError::Build(_) => FailureKind::Invalid,
            AddFoundError::SecretOfModel(_) => FailureKind::Denied,
            AddFoundError::Keychain(_) => FailureKind::Unavailable,
            AddFoundError::Store(error) => error.kind(),
        }
    }

    /// The inputs without a value, if that is the cause.
    pub fn missing(&self) -> Option<&[RegistryInput]> {
        match self {
            AddFoundError::Build(BuildError::Missing(Missing(inputs))) => Some(inputs),
            _ => None,
        }
    }
}

impl ServerControl {
    /// Returns the registries of the current configuration.
    pub fn registries(&self) -> Registries {
        Registries::new(&self.config().current(), self.registry_cache())
    }

    /// Adds a server that was found in a registry, as [`ServerControl::add`] does. Its secrets go into the keychain.
    ///
    /// # Errors
    /// [`AddFoundError`]
    pub async fn add_found(
        &self,
        found: &Found,
        wanted: &AddFromRegistry,
        origin: &Origin,
    ) -> Result<AddedFromRegistry, AddFoundError> {
        let built = found.build(
            wanted.option.as_deref(),
            wanted.name.as_deref(),
            &Answers::from(wanted),
            wanted.keep_secrets_in_file && !matches!(origin, Origin::Model(_)),
        )?;
        let Built {
            name,
            mut entry,
            secrets,
        } = built;
        if !secrets.is_empty() && matches!(origin, Origin::Model(_)) {
            return Err(AddFoundError::SecretOfModel(found.described().name));
        }
        // Checked first, because a secret of an existing server must not be replaced.
        if self.config().current().servers.iter().any(|server| server.name == name) {
            return Err(StoreError::from(EditError::Exists(name)).into());
        }
        if let Some(enabled) = wanted.enabled {
            entry.insert("enabled".to_owned(), Value::Bool(enabled));
        }
        let stored_secrets = secrets.iter().map(|(name, _)| name.clone()).collect();
        for (name, secret) in secrets {
            keychain::ask(move || SystemKeychain.write(&name, &secret)).await?;
        }
        self.add(&name, entry, origin).await?;
        let config = self.config().current();
        let server = config.servers.iter().find(|server| server.name == name);
        let server = server.map(|server| AddedEntry {
            name: server.name.clone(),
            protocol: server.effective_protocol().word().into(),
            command: server.command.clone(),
            args: server.args.clone(),
            url: server.url.clone(),
            enabled: server.enabled,
            quarantined: server.quarantined,
        });
        Ok(AddedFromRegistry {
            server: server.unwrap_or_default(),
            stored_secrets,
        })
    }

    /// Adds a registry to search. `entry` comes from [`crate::registries::check_source`].
    ///
    /// # Errors
    /// [`StoreError`], for example if a registry with this ID exists already.
    pub async fn add_registry(&self, id: &str, entry: Value) -> Result<(), StoreError> {
        let id = Arc::new(id.to_owned());
        self.config().edit(move |document| document.add_registry(&id, entry.clone(), &defaults())).await
    }

    /// Removes a registry.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn remove_registry(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.config().edit(move |document| document.remove_registry(&id, &defaults())).await
    }
}
