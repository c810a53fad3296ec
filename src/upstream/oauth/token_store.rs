//! OAuth tokens, in a file of the data directory that only its owner can read. Nothing else holds a token.
//!
//! If the system has a keychain, the file is encrypted with a key from it: keychains hold only small secrets (on Windows shorter
//! than many tokens), and some prompt at each change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, Generate as _, Nonce};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305};
use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};
use serde::{Deserialize, Serialize};

use crate::os::block_in_place::block_in_place;
use crate::os::files;
use crate::os::keychain::{self, Keychain, KeychainError};
use crate::os::sync::lock;
use crate::telemetry::usage_counts::{Counter, UsageCounts};

/// The tokens of every server with a sign-in.
pub struct TokenStore {
    path: PathBuf,
    state: Mutex<State>,
    /// Held while the file is written.
    writing: Mutex<()>,
    /// `None`: the file is never encrypted.
    keychain: Option<Arc<dyn Keychain>>,
    counts: Arc<UsageCounts>,
}

#[derive(Default)]
struct State {
    kept: BTreeMap<String, SavedSignIn>,
    /// The content of the file until it is decrypted.
    sealed: Option<Sealed>,
    /// The key of the file, and its name in the keychain.
    seal: Option<(String, Key)>,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Content {
    Sealed(Sealed),
    Plain(BTreeMap<String, SavedSignIn>),
}

#[derive(Clone, Serialize, Deserialize)]
struct Sealed {
    /// Base64 of nonce and ciphertext.
    sealed: String,
    /// The name in the keychain.
    key: String,
    /// The servers whose tokens are in it: others need not wait for the keychain, and a server that is removed here is forgotten.
    servers: BTreeSet<String>,
}

impl Sealed {
    fn new(kept: &BTreeMap<String, SavedSignIn>, name: &str, key: &Key) -> Option<Sealed> {
        let nonce = Nonce::<XChaCha20Poly1305>::generate();
        let sealed = XChaCha20Poly1305::new(key).encrypt(&nonce, serde_json::to_vec(kept).ok()?.as_slice()).ok()?;
        Some(Sealed {
            sealed: BASE64.encode([nonce.as_slice(), &sealed].concat()),
            key: name.to_owned(),
            servers: kept.keys().cloned().collect(),
        })
    }

    fn open(&self, key: &Key) -> Option<BTreeMap<String, SavedSignIn>> {
        let bytes = BASE64.decode(&self.sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let nonce = Nonce::<XChaCha20Poly1305>::try_from(nonce).ok()?;
        let plain = XChaCha20Poly1305::new(key).decrypt(&nonce, sealed).ok()?;
        let mut kept: BTreeMap<String, SavedSignIn> = serde_json::from_slice(&plain).ok()?;
        kept.retain(|server, _| self.servers.contains(server));
        Some(kept)
    }
}

/// How the names of such keys begin.
pub const KEY_PREFIX: &str = "oauth-tokens-";

/// The name in the keychain of the key that encrypts this file, if it is encrypted.
pub fn key_name(path: &Path) -> Option<String> {
    match serde_json::from_slice(&files::read_bounded(path, LARGEST).ok()?).ok()? {
        Content::Sealed(sealed) => Some(sealed.key),
        Content::Plain(_) => None,
    }
}

/// Bytes of an XChaCha20 nonce, long enough to be random each time.
const NONCE: usize = 24;

/// The result of one sign-in.
#[derive(Clone, Serialize, Deserialize)]
pub struct SavedSignIn {
    /// The URL they were issued for; no other URL receives them, whatever the server is called.
    url: String,
    /// The secret of a dynamically registered client; tokens cannot be renewed without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// How the client authenticates at the token endpoint, as its registration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,
    credentials: StoredCredentials,
}

impl SavedSignIn {
    /// The issuer of the tokens.
    pub fn issuer(&self) -> Option<&str> {
        self.credentials.issuer.as_deref()
    }

    /// The client the tokens were issued to.
    pub fn client_id(&self) -> &str {
        &self.credentials.client_id
    }
}

/// Largest file that is read.
const LARGEST: u64 = 16 * 1024 * 1024;

impl TokenStore {
    /// Loads this file. If it cannot be read, there are no sign-ins; an encrypted file is decrypted when a server needs it.
    pub fn load(path: &Path, keychain: Option<Arc<dyn Keychain>>, counts: Arc<UsageCounts>) -> TokenStore {
        let content = match files::read_bounded(path, LARGEST) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                // The error's own text may quote the file.
                let place = format!("line {}, column {}", error.line(), error.column());
                io::Error::new(io::ErrorKind::InvalidData, format!("invalid content at {place}"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Plain(BTreeMap::new())),
            Err(error) => Err(error),
        };
        let content = content.unwrap_or_else(|error| {
            tracing::error!("could not read `{}`: {error}; sign in to your servers again", path.display());
            Content::Plain(BTreeMap::new())
        });
        let mut state = State::default();
        match content {
            Content::Plain(kept) => state.kept = kept,
            Content::Sealed(sealed) => state.sealed = Some(sealed),
        }
        TokenStore {
            path: path.to_path_buf(),
            state: Mutex::new(state),
            writing: Mutex::default(),
            keychain,
            counts,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Decrypts the file if it holds tokens of this server.
    ///
    /// # Errors
    /// [`KeychainError`]: a later attempt may succeed.
    pub async fn open_for(&self, server: &str) -> Result<(), KeychainError> {
        let sealed = self.state().sealed.clone().filter(|sealed| sealed.servers.contains(server));
        match sealed {
            Some(sealed) => self.open(sealed).await,
            None => Ok(()),
        }
    }

    async fn open(&self, sealed: Sealed) -> Result<(), KeychainError> {
        let Some(keychain) = self.keychain.clone() else {
            return Err(KeychainError::None("it is disabled".to_owned()));
        };
        let name = sealed.key.clone();
        let key = keychain::ask(move || keychain.read(&name)).await?;
        let mut state = self.state();
        // Another task may have decrypted it meanwhile, or removed a server.
        let Some(sealed) = state.sealed.take() else { return Ok(()) };
        let key = key.and_then(|key| Key::try_from(BASE64.decode(key).ok()?.as_slice()).ok());
        match key.and_then(|key| Some((sealed.open(&key)?, key))) {
            Some((kept, key)) => {
                state.kept = kept;
                state.seal = Some((sealed.key, key));
            }
            None => tracing::error!(
                "the keychain does not hold the key of `{}`; sign in to your servers again",
                self.path.display()
            ),
        }
        Ok(())
    }

    /// Encrypts the file from now on, if there is a keychain.
    async fn seal(&self) {
        let sealed = self.state().sealed.clone();
        if let Some(sealed) = sealed
            && let Err(error) = self.open(sealed).await
        {
            // A new sign-in must not be lost because the old ones cannot be decrypted.
            tracing::error!("replacing `{}`, which cannot be decrypted: {error}", self.path.display());
            self.state().sealed = None;
        }
        let Some(keychain) = self.keychain.clone().filter(|_| self.state().seal.is_none()) else {
            return;
        };
        let key = Key::generate();
        let (name, text) = (format!("{KEY_PREFIX}{}", uuid::Uuid::new_v4().simple()), BASE64.encode(key));
        let kept_as = name.clone();
        let kept = keychain::ask(move || {
            keychain.write(&kept_as, &text)?;
            Ok(keychain.read(&kept_as)? == Some(text))
        });
        match kept.await {
            Ok(true) => self.state().seal = Some((name, key)),
            Ok(false) => tracing::warn!("the keychain did not store the key: tokens are kept unencrypted"),
            Err(error) => {
                tracing::info!("tokens are kept in `{}`, readable only by you: {error}", self.path.display())
            }
        }
    }

    /// The sign-in to a server at this URL.
    pub fn of(&self, server: &str, url: &str) -> Option<SavedSignIn> {
        self.state().kept.get(server).filter(|kept| kept.url == url).cloned()
    }

    /// Counts a token that a server no longer accepts and that could not be renewed.
    pub fn note_expired(&self) {
        self.counts.add(Counter::OauthTokenExpired);
    }

    /// Forgets a server's tokens.
    pub fn forget(&self, server: &str) {
        self.retain(|name| name != server);
    }

    /// Forgets the tokens of every server but these.
    pub fn forget_others(&self, servers: &[&str]) {
        self.retain(|name| servers.contains(&name));
    }

    fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.change(|state| {
            let count = |state: &State| (state.kept.len(), state.sealed.as_ref().map(|sealed| sealed.servers.len()));
            let before = count(state);
            state.kept.retain(|server, _| wanted(server));
            if let Some(sealed) = &mut state.sealed {
                sealed.servers.retain(|server| wanted(server));
            }
            count(state) != before
        });
    }

    /// Changes what is kept, and writes it if `change` returns true. A token that cannot be written is still used: after a
    /// renewal it is the only one that works. Waits for the disk, while other tasks go on.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if !change(&mut self.state()) {
            return;
        }
        block_in_place(|| {
            let _writing = lock(&self.writing);
            let content = self.state().content();
            let bytes = content.and_then(|content| serde_json::to_vec(&content).map_err(io::Error::from));
            if let Err(error) = bytes.and_then(|bytes| files::replace_private(&self.path, &bytes)) {
                tracing::error!(
                    "could not write `{}`: {error}; sign-ins are lost when MCPProxy exits",
                    self.path.display()
                );
            }
        });
    }
}

impl State {
    fn content(&self) -> io::Result<Content> {
        let content = match (&self.sealed, &self.seal) {
            (Some(sealed), _) => Some(Content::Sealed(sealed.clone())),
            (None, Some((name, key))) => Sealed::new(&self.kept, name, key).map(Content::Sealed),
            (None, None) => Some(Content::Plain(self.kept.clone())),
        };
        content.ok_or_else(|| io::Error::other("could not encrypt the tokens"))
    }
}

/// The tokens of one server, in the library's interface.
pub struct ServerCredentialStore {
    tokens: Arc<TokenStore>,
    server: String,
    url: String,
    /// The secret of the client that signs in; `None` for a renewal, or a client without one.
    pub client_secret: Option<String>,
    /// How that client authenticates at the token endpoint.
    pub auth_method: Option<String>,
    /// Whether this is a sign-in, which replaces an older one.
    pub replaces: bool,
}

impl ServerCredentialStore {
    pub fn new(tokens: &Arc<TokenStore>, server: &str, url: &str) -> ServerCredentialStore {
        ServerCredentialStore {
            tokens: tokens.clone(),
            server: server.to_owned(),
            url: url.to_owned(),
            client_secret: None,
            auth_method: None,
            replaces: false,
        }
    }
}

#[async_trait]
impl CredentialStore for ServerCredentialStore {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.tokens.of(&self.server, &self.url).map(|kept| kept.credentials))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        if self.replaces {
            self.tokens.seal().await;
        }
        self.tokens.change(|State { kept, .. }| {
            let old = kept.get(&self.server).filter(|old| old.client_id() == credentials.client_id);
            // The user signed out, or in again, while the token was renewed.
            if old.is_none() && !self.replaces {
                return false;
            }
            let (client_secret, auth_method) = match old.filter(|_| !self.replaces) {
                Some(old) => (old.client_secret.clone(), old.auth_method.clone()),
                None => (self.client_secret.clone(), self.auth_method.clone()),
            };
            let new = SavedSignIn {
                url: self.url.clone(),
                client_secret,
                auth_method,
                credentials,
            };
            kept.insert(self.server.clone(), new);
            true
        });
        Ok(())
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.tokens.forget(&self.server);
        Ok(())
    }

    async fn on_refresh_token_rejected(&self, rejected: &StoredCredentials) -> Result<(), AuthError> {
        self.tokens.counts.add(Counter::OauthRefreshFailed);
        self.tokens.change(|State { kept, .. }| {
            let same = kept.get(&self.server).is_some_and(|kept| {
                let received = kept.credentials.token_received_at;
                kept.client_id() == rejected.client_id && received == rejected.token_received_at
            });
            same && kept.remove(&self.server).is_some()
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(client: &str, token: &str) -> StoredCredentials {
        // Authorization servers add members; a fraction must not make the whole file unreadable.
        let response =
            serde_json::json!({"access_token": token, "token_type": "bearer", "refresh_token": "r", "rate": 0.5});
        let response = serde_json::from_value(response).unwrap();
        StoredCredentials::new(client.to_owned(), Some(response), Vec::new(), Some(1))
    }

    fn tokens(directory: &Path) -> Arc<TokenStore> {
        Arc::new(TokenStore::load(&directory.join("t.json"), None, Arc::default()))
    }

    /// A keychain in memory, which can be locked.
    #[derive(Default)]
    struct Ring {
        secrets: Mutex<BTreeMap<String, String>>,
        locked: std::sync::atomic::AtomicBool,
    }

    impl Ring {
        fn secrets(&self) -> Result<MutexGuard<'_, BTreeMap<String, String>>, KeychainError> {
            match self.locked.load(std::sync::atomic::Ordering::Relaxed) {
                true => Err(KeychainError::Locked),
                false => Ok(self.secrets.lock().unwrap()),
            }
        }

        fn lock(&self, locked: bool) {
            self.locked.store(locked, std::sync::atomic::Ordering::Relaxed);
        }
    }

    impl Keychain for Ring {
        fn read(&self, name: &str) -> Result<Option<String>, KeychainError> {
            Ok(self.secrets()?.get(name).cloned())
        }

        fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError> {
            self.secrets()?.insert(name.to_owned(), secret.to_owned());
            Ok(())
        }

        fn remove(&self, name: &str) -> Result<bool, KeychainError> {
            Ok(self.secrets()?.remove(name).is_some())
        }
    }

    #[tokio::test]
    async fn with_a_keychain_the_file_is_encrypted_and_opened_once_it_is_unlocked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.json");
        let ring = Arc::new(Ring::default());
        let load = || Arc::new(TokenStore::load(&path, Some(ring.clone()), Arc::default()));
        // Sign-ins from before there was a keychain are encrypted, too.
        sign_in(&tokens(directory.path())).save(credentials("c", "old-token")).await.unwrap();
        let first = load();
        let other = ServerCredentialStore {
            replaces: true,
            ..ServerCredentialStore::new(&first, "b", "https://b.example/mcp")
        };
        other.save(credentials("c", "new-token")).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("-token\"") && !text.contains("example") && !text.contains("refresh"), "{text}");

        ring.lock(true);
        let next = load();
        assert_eq!(next.open_for("a").await, Err(KeychainError::Locked));
        assert_eq!(next.open_for("never signed in").await, Ok(()));
        next.forget("b");
        ring.lock(false);
        next.open_for("a").await.unwrap();
        assert!(next.of("a", "https://a.example/mcp").is_some());
        assert!(next.of("b", "https://b.example/mcp").is_none(), "it was forgotten while it could not be read");
        ServerCredentialStore::new(&next, "a", "https://a.example/mcp")
            .save(credentials("c", "renewed-token"))
            .await
            .unwrap();
        assert_eq!(ring.secrets().unwrap().len(), 1, "renewing a token does not touch the keychain");

        let last = load();
        last.open_for("a").await.unwrap();
        assert!(last.of("a", "https://a.example/mcp").is_some());
        ring.secrets().unwrap().clear();
        let lost = load();
        lost.open_for("a").await.unwrap();
        assert!(lost.of("a", "https://a.example/mcp").is_none());
        sign_in(&lost).save(credentials("c", "again")).await.unwrap();
        assert!(lost.of("a", "https://a.example/mcp").is_some());
    }

    #[tokio::test]
    async fn without_access_to_a_keychain_the_file_stays_plain() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.json");
        let ring = Arc::new(Ring::default());
        ring.lock(true);
        let tokens = Arc::new(TokenStore::load(&path, Some(ring), Arc::default()));
        sign_in(&tokens).save(credentials("c", "one")).await.unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("one"));
        assert!(TokenStore::load(&path, None, Arc::default()).of("a", "https://a.example/mcp").is_some());
    }

    fn sign_in(tokens: &Arc<TokenStore>) -> ServerCredentialStore {
        ServerCredentialStore {
            client_secret: Some("s".to_owned()),
            replaces: true,
            ..ServerCredentialStore::new(tokens, "a", "https://a.example/mcp")
        }
    }

    #[tokio::test]
    async fn tokens_are_kept_for_their_url_only_and_renewed_with_their_secret() {
        let directory = tempfile::tempdir().unwrap();
        sign_in(&tokens(directory.path())).save(credentials("c", "one")).await.unwrap();
        let again = tokens(directory.path());
        assert!(again.of("a", "https://b.example/mcp").is_none());
        let place = ServerCredentialStore::new(&again, "a", "https://a.example/mcp");
        place.save(credentials("c", "two")).await.unwrap();
        let kept = again.of("a", "https://a.example/mcp").unwrap();
        assert_eq!(kept.client_secret.as_deref(), Some("s"));
        let text = std::fs::read_to_string(directory.path().join("t.json")).unwrap();
        assert!(text.contains("two") && !text.contains("one"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.path().join("t.json")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_token_renewed_too_late_does_not_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(directory.path());
        let signed_in = sign_in(&tokens);
        signed_in.save(credentials("c", "one")).await.unwrap();
        tokens.forget("a");
        let place = ServerCredentialStore::new(&tokens, "a", "https://a.example/mcp");
        place.save(credentials("c", "two")).await.unwrap();
        assert!(place.load().await.unwrap().is_none());
        signed_in.save(credentials("d", "three")).await.unwrap();
        place.on_refresh_token_rejected(&credentials("c", "one")).await.unwrap();
        assert_eq!(place.load().await.unwrap().unwrap().client_id, "d");
        place.on_refresh_token_rejected(&credentials("d", "three")).await.unwrap();
        assert!(place.load().await.unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_holds_no_sign_in() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("t.json"), "{\"a\":").unwrap();
        assert!(tokens(directory.path()).of("a", "").is_none());
    }

    #[tokio::test]
    async fn tokens_of_removed_servers_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(directory.path());
        sign_in(&tokens).save(credentials("c", "one")).await.unwrap();
        tokens.forget_others(&["a"]);
        assert!(tokens.of("a", "https://a.example/mcp").is_some());
        tokens.forget_others(&["b"]);
        assert!(tokens.of("a", "https://a.example/mcp").is_none());
    }
}
