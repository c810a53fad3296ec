//! The system's keychain: macOS' login keychain, Windows' credential manager, the Secret Service of a Linux desktop.
//!
//! Entries are those of the existing core: service `mcpproxy`, the secret's name as the user.

use std::time::{Duration, Instant};

use keyring_core::Entry;
use keyring_core::Error;

const SERVICE: &str = "mcpproxy";
/// A keychain that is locked asks a person, who may be elsewhere.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why the keychain gave or took nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeychainError {
    #[error("this system has no keychain that can be reached: {0}")]
    None(String),
    #[error("the keychain is locked: unlock it, then restart the server")]
    Locked,
    #[error("the keychain refused: {0}")]
    Refused(String),
}

/// A place for small secrets. There is one of the system; tests have their own.
pub trait Keychain: Send + Sync {
    /// The secret of this name. Waits for the system, and for a person where it is locked.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn read(&self, name: &str) -> Result<Option<String>, KeychainError>;

    /// Keeps a secret under this name, in place of another.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError>;

    /// Forgets a secret. `false` when there was none.
    ///
    /// # Errors
    /// [`KeychainError`].
    fn remove(&self, name: &str) -> Result<bool, KeychainError>;
}

/// The system's.
pub struct SystemKeychain;

impl Keychain for SystemKeychain {
    fn read(&self, name: &str) -> Result<Option<String>, KeychainError> {
        match entry(name)?.get_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(in_words(error)),
        }
    }

    fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError> {
        entry(name)?.set_password(secret).map_err(in_words)
    }

    fn remove(&self, name: &str) -> Result<bool, KeychainError> {
        match entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(in_words(error)),
        }
    }
}

/// Asks a keychain on a thread of its own, one thing after the other, and not for ever.
///
/// # Errors
/// [`KeychainError`]; one that does not answer in 2 minutes counts as locked.
pub async fn ask<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeychainError> + Send + 'static,
) -> Result<T, KeychainError> {
    static LOCKED_AT: tokio::sync::Mutex<Option<Instant>> = tokio::sync::Mutex::const_new(None);
    let asked_at = Instant::now();
    let mut locked_at = LOCKED_AT.lock().await;
    // Whoever closes the question is not asked again for each secret that waited behind it.
    if locked_at.is_some_and(|at| at > asked_at) {
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

fn in_words(error: Error) -> KeychainError {
    match error {
        Error::NoStorageAccess(_) => KeychainError::Locked,
        // Its text may be what the keychain holds.
        Error::BadEncoding(_) | Error::BadDataFormat(..) => {
            KeychainError::Refused("what it holds is no text".to_owned())
        }
        other => KeychainError::Refused(other.to_string()),
    }
}

/// A new way to the keychain for each question: one that is kept would keep a thread and a connection.
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
fn entry(name: &str) -> Result<Entry, KeychainError> {
    #[cfg(target_os = "macos")]
    use apple_native_keyring_store::keychain::Store;
    use keyring_core::api::CredentialStoreApi;
    #[cfg(windows)]
    use windows_native_keyring_store::Store;
    #[cfg(target_os = "linux")]
    use zbus_secret_service_keyring_store::Store;

    let store = Store::new().map_err(|error| KeychainError::None(error.to_string()))?;
    // On Windows the existing core's entries are found by their target alone.
    let target = format!("{SERVICE}:{name}");
    let more = std::collections::HashMap::from([("target", target.as_str())]);
    store.build(SERVICE, name, cfg!(windows).then_some(&more)).map_err(in_words)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn entry(_name: &str) -> Result<Entry, KeychainError> {
    Err(KeychainError::None("of its kind".to_owned()))
}
