//! The system's keychain: the macOS login keychain, the Windows credential manager, or the Secret Service of a Linux desktop.
//!
//! Entries are those of the Go core: service `mcpproxy`, and the name of the secret as the user.

use std::time::{Duration, Instant};

use keyring_core::Entry;
use keyring_core::Error;

const SERVICE: &str = "mcpproxy";
/// A locked keychain prompts the user, who may be away.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why the keychain was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeychainError {
    #[error("no keychain is available: {0}")]
    None(String),
    #[error("the keychain is locked: unlock it, then restart the server")]
    Locked,
    #[error("the keychain returned an error: {0}")]
    Refused(String),
}

/// A store for small secrets: the system's, or one of a test.
pub trait Keychain: Send + Sync {
    /// The secret of this name. Waits for the system, and for the user if it is locked.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn read(&self, name: &str) -> Result<Option<String>, KeychainError>;

    /// Stores a secret under this name, replacing another.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError>;

    /// Deletes a secret. `false` if there was none.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn remove(&self, name: &str) -> Result<bool, KeychainError>;
}

/// The system's keychain.
pub struct SystemKeychain;

impl Keychain for SystemKeychain {
    fn read(&self, name: &str) -> Result<Option<String>, KeychainError> {
        match entry(name)?.get_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(explain(error)),
        }
    }

    fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError> {
        entry(name)?.set_password(secret).map_err(explain)
    }

    fn remove(&self, name: &str) -> Result<bool, KeychainError> {
        match entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(explain(error)),
        }
    }
}

impl SystemKeychain {
    /// The names of all secrets, including those of the Go core and of other data directories.
    ///
    /// # Errors
    /// [`KeychainError`].
    pub fn names() -> Result<Vec<String>, KeychainError> {
        let mut names: Vec<String> = search()?.iter().filter_map(user).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

/// The name of a secret. Windows has no specifiers of the Go core's form.
fn user(entry: &Entry) -> Option<String> {
    match entry.get_specifiers() {
        Some((_, user)) if !cfg!(windows) => Some(user),
        _ => entry.get_attributes().ok()?.remove("username"),
    }
}

/// Uses a keychain on the blocking pool, one request at a time.
///
/// # Errors
/// [`KeychainError`]; a keychain that does not answer within 2 minutes counts as locked.
pub async fn ask<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeychainError> + Send + 'static,
) -> Result<T, KeychainError> {
    static LOCKED_AT: tokio::sync::Mutex<Option<Instant>> = tokio::sync::Mutex::const_new(None);
    let requested_at = Instant::now();
    let mut locked_at = LOCKED_AT.lock().await;
    // A user who dismisses the prompt is not prompted again for each secret that waited.
    if locked_at.is_some_and(|at| at > requested_at) {
        return Err(KeychainError::Locked);
    }
    let outcome = match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(ended)) => Err(KeychainError::Refused(ended.to_string())),
        Err(_) => Err(KeychainError::Locked),
    };
    *locked_at = matches!(outcome, Err(KeychainError::Locked)).then(Instant::now);
    outcome
}

fn explain(error: Error) -> KeychainError {
    match error {
        Error::NoStorageAccess(_) => KeychainError::Locked,
        // Its text may contain the secret.
        Error::BadEncoding(_) | Error::BadDataFormat(..) => KeychainError::Refused("the secret is not text".to_owned()),
        other => KeychainError::Refused(other.to_string()),
    }
}

#[cfg(target_os = "macos")]
use apple_native_keyring_store::keychain::Store;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
use keyring_core::api::CredentialStoreApi as _;
#[cfg(windows)]
use windows_native_keyring_store::Store;
#[cfg(target_os = "linux")]
use zbus_secret_service_keyring_store::Store;

/// A new connection for each request: a permanent one would keep a thread and a socket.
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
fn store() -> Result<std::sync::Arc<Store>, KeychainError> {
    Store::new().map_err(|error| KeychainError::None(error.to_string()))
}

#[cfg(any(target_os = "linux", target_os = "macos", windows))]
fn search() -> Result<Vec<Entry>, KeychainError> {
    let wanted = if cfg!(windows) { ("pattern", "^mcpproxy:") } else { ("service", SERVICE) };
    store()?.search(&std::collections::HashMap::from([wanted])).map_err(explain)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn search() -> Result<Vec<Entry>, KeychainError> {
    Err(KeychainError::None("unknown system".to_owned()))
}

#[cfg(any(target_os = "linux", target_os = "macos", windows))]
fn entry(name: &str) -> Result<Entry, KeychainError> {
    // On Windows the Go core's entries are found by their target alone.
    let target = format!("{SERVICE}:{name}");
    let modifiers = std::collections::HashMap::from([("target", target.as_str())]);
    store()?.build(SERVICE, name, cfg!(windows).then_some(&modifiers)).map_err(explain)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn entry(_name: &str) -> Result<Entry, KeychainError> {
    Err(KeychainError::None("unknown system".to_owned()))
}
