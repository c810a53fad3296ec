//! What a sign-in left behind, in a file of the instance root that only its owner reads. Nothing else holds a token.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};
use serde::{Deserialize, Serialize};

use crate::core::use_counts::UseCounts;
use crate::os::files;

/// The tokens of every server somebody has signed in to.
pub struct Tokens {
    path: PathBuf,
    kept: Mutex<BTreeMap<String, Kept>>,
    counts: Arc<UseCounts>,
}

/// What one sign-in left behind.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The address they are for: no other one gets them, whatever the server is called.
    url: String,
    /// Of a client that registered itself; without it no token is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    credentials: StoredCredentials,
}

impl Kept {
    /// Who issued them.
    pub fn issuer(&self) -> Option<&str> {
        self.credentials.issuer.as_deref()
    }

    /// The name under which the tokens were issued to us.
    pub fn client_id(&self) -> &str {
        &self.credentials.client_id
    }
}

/// Largest file that is read.
const LARGEST: u64 = 16 * 1024 * 1024;

impl Tokens {
    /// The tokens kept in this file. With one that cannot be read nobody is signed in.
    pub fn load(path: &Path, counts: Arc<UseCounts>) -> Tokens {
        let kept = match files::read_bounded(path, LARGEST) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                // The error's own text may repeat what stands there.
                let place = format!("line {}, column {}", error.line(), error.column());
                io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged ({place})"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        let kept = kept.unwrap_or_else(|error| {
            tracing::error!("`{}`: {error}; sign in to your servers again", path.display());
            BTreeMap::new()
        });
        Tokens {
            path: path.to_path_buf(),
            kept: Mutex::new(kept),
            counts,
        }
    }

    /// What is kept for a server at this address.
    pub fn of(&self, server: &str, url: &str) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(server).filter(|kept| kept.url == url).cloned()
    }

    /// A server does not take its token any more, and no other was to be had.
    pub fn note_expired(&self) {
        self.counts.oauth_token_expired();
    }

    /// Forgets a server's tokens.
    pub fn forget(&self, server: &str) {
        self.change(|kept| kept.remove(server).is_some());
    }

    /// Forgets the tokens of every server but these.
    pub fn forget_others(&self, servers: &[&str]) {
        self.change(|kept| {
            let before = kept.len();
            kept.retain(|server, _| servers.contains(&server.as_str()));
            kept.len() != before
        });
    }

    /// Changes what is kept, and writes it down if `change` says so. What cannot be written is still used: a token that
    /// was renewed is the only one that works.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Kept>) -> bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut kept) {
            return;
        }
        let written = serde_json::to_vec(&*kept).map_err(io::Error::from);
        if let Err(error) = written.and_then(|bytes| files::replace_private(&self.path, &bytes)) {
            tracing::error!(
                "`{}` cannot be written: {error}; who signed in is forgotten when the core ends",
                self.path.display()
            );
        }
    }
}

/// One server's place among the tokens, as the library wants it.
pub struct Place {
    tokens: Arc<Tokens>,
    server: String,
    url: String,
    /// The secret of the client that signs in; `None` where one is signed in already, or has no secret.
    pub client_secret: Option<String>,
    /// Whether this is a sign-in, which replaces whatever was there.
    pub replaces: bool,
}

impl Place {
    pub fn new(tokens: &Arc<Tokens>, server: &str, url: &str) -> Place {
        Place {
            tokens: tokens.clone(),
            server: server.to_owned(),
            url: url.to_owned(),
            client_secret: None,
            replaces: false,
        }
    }
}

#[async_trait]
impl CredentialStore for Place {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.tokens.of(&self.server, &self.url).map(|kept| kept.credentials))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.tokens.change(|kept| {
            let old = kept.get(&self.server).filter(|old| old.client_id() == credentials.client_id);
            // A token that was renewed while its owner signed out, or in anew, is not wanted any more.
            if old.is_none() && !self.replaces {
                return false;
            }
            let client_secret = match self.replaces {
                true => self.client_secret.clone(),
                false => old.and_then(|old| old.client_secret.clone()),
            };
            let new = Kept {
                url: self.url.clone(),
                client_secret,
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
        self.tokens.counts.oauth_refresh_failed();
        self.tokens.change(|kept| {
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
        let response = serde_json::json!({"access_token": token, "token_type": "bearer", "refresh_token": "r"});
        let response = serde_json::from_value(response).unwrap();
        StoredCredentials::new(client.to_owned(), Some(response), Vec::new(), Some(1))
    }

    fn tokens(directory: &Path) -> Arc<Tokens> {
        Arc::new(Tokens::load(&directory.join("t.json"), Arc::default()))
    }

    fn sign_in(tokens: &Arc<Tokens>) -> Place {
        Place {
            client_secret: Some("s".to_owned()),
            replaces: true,
            ..Place::new(tokens, "a", "https://a.example/mcp")
        }
    }

    #[tokio::test]
    async fn tokens_are_kept_for_their_address_only_and_renewed_with_their_secret() {
        let directory = tempfile::tempdir().unwrap();
        sign_in(&tokens(directory.path())).save(credentials("c", "one")).await.unwrap();
        let again = tokens(directory.path());
        assert!(again.of("a", "https://b.example/mcp").is_none());
        let place = Place::new(&again, "a", "https://a.example/mcp");
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
        let place = Place::new(&tokens, "a", "https://a.example/mcp");
        place.save(credentials("c", "two")).await.unwrap();
        assert!(place.load().await.unwrap().is_none());
        signed_in.save(credentials("d", "three")).await.unwrap();
        place.on_refresh_token_rejected(&credentials("c", "one")).await.unwrap();
        assert_eq!(place.load().await.unwrap().unwrap().client_id, "d");
        place.on_refresh_token_rejected(&credentials("d", "three")).await.unwrap();
        assert!(place.load().await.unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_signs_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("t.json"), "{\"a\":").unwrap();
        assert!(tokens(directory.path()).of("a", "").is_none());
    }

    #[tokio::test]
    async fn servers_that_are_gone_take_their_tokens_along() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(directory.path());
        sign_in(&tokens).save(credentials("c", "one")).await.unwrap();
        tokens.forget_others(&["a"]);
        assert!(tokens.of("a", "https://a.example/mcp").is_some());
        tokens.forget_others(&["b"]);
        assert!(tokens.of("a", "https://a.example/mcp").is_none());
    }
}
