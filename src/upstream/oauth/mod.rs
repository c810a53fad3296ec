//! Signing in to servers by a browser (OAuth 2.1, MCP's authorization specification).
//!
//! The library does the protocol: discovery, registration, PKCE, `resource`, renewal. Here is what it leaves open:
//! [`token_store`] keeps what comes of it, [`callback_server`] waits for the browser, and this file joins them.

pub mod callback_server;
pub mod error_text;
pub mod policy;
pub mod sign_in;
pub mod token_store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, OAuthClientConfig, OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest,
};

use callback_server::Redirect;
use token_store::{ServerCredentialStore, TokenStore};

use crate::config::ServerConfig;
use crate::telemetry::payload::OauthProvider;
use crate::upstream::connect_error::ConnectError;
use crate::upstream::oauth::error_text::words;
use crate::upstream::oauth::policy::has_own;
use crate::upstream::sign_in_state::provider;
use crate::upstream::transport::error_text::shown;

/// How long everything may take until a person can be sent to sign in; whoever asked waits for it.
const PREPARE: Duration = Duration::from_secs(8);
/// How long a person may take to sign in.
const LONGEST: Duration = Duration::from_secs(600);

/// What puts a server's token into requests, and who issued it; without one requests go without.
///
/// # Errors
/// [`ConnectError`]: the authorization server cannot be asked.
pub async fn manager(
    config: &ServerConfig,
    tokens: &Arc<TokenStore>,
) -> Result<(AuthorizationManager, Option<OauthProvider>), ConnectError> {
    let url = config.url.as_deref().unwrap_or_default();
    let unusable = |error: AuthError| ConnectError::Failed(words(&error));
    let kept = match has_own(config) {
        true => None,
        false => {
            let locked = |error| ConnectError::Locked(format!("who signed in to it is not known: {error}"));
            tokens.open_for(&config.name).await.map_err(locked)?;
            tokens.of(&config.name, url)
        }
    };
    let Some(kept) = kept else {
        let manager = AuthorizationManager::new_with_oauth_http_client(url, Arc::new(Nobody)).await;
        return Ok((manager.map_err(unusable)?, None));
    };
    let mut manager = AuthorizationManager::new_allowing_private_addresses(url).await.map_err(unusable)?;
    manager.set_credential_store(ServerCredentialStore::new(tokens, &config.name, url));
    let found = manager.resolve_metadata().await.map_err(unusable)?;
    if kept.issuer().is_some() && !found.source.is_discovered() {
        // The library would guess an address now; the renewal token is for its issuer and for nobody else.
        return Err(format!("`{}` does not say where its sign-ins are renewed: it is tried again", shown(url)).into());
    }
    manager.set_metadata(found.metadata);
    if !manager.initialize_from_store().await.map_err(unusable)? {
        return Err(ConnectError::SignIn(None));
    }
    let secret = kept.client_secret.as_ref().or(config.oauth.client_secret.as_ref());
    if let Some(secret) = secret {
        let client = OAuthClientConfig::new(kept.client_id(), url).with_client_secret(secret);
        manager.configure_client(client).map_err(unusable)?;
    }
    Ok((manager, Some(provider(kept.issuer().unwrap_or(url)))))
}

/// Speaks HTTP where nothing is to be said. A client that could would load every certificate of the system, for each server.
struct Nobody;

impl OAuthHttpClient for Nobody {
    fn execute(&self, _request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async { Err("nobody is signed in".into()) })
    }
}

/// A sign-in that waits for a person.
pub struct Begun {
    /// Where they are to go.
    pub address: String,
    state: String,
    manager: AuthorizationManager,
    redirect: Redirect,
    server: String,
}

/// Finds out where a person signs in to a server, and makes this program known there.
///
/// # Errors
/// A sentence.
pub async fn begin(config: &ServerConfig, challenge: Option<&str>, tokens: &Arc<TokenStore>) -> Result<Begun, String> {
    let url = config.url.as_deref().unwrap_or_default();
    let begun = tokio::time::timeout(PREPARE, prepare(config, url, challenge, tokens)).await;
    let failed = |why: String| format!("signing in to `{}` cannot begin: {why}", shown(url));
    match begun {
        Ok(begun) => begun.map_err(failed),
        Err(_) => Err(failed(format!("no answer within {} s", PREPARE.as_secs()))),
    }
}

async fn prepare(
    config: &ServerConfig,
    url: &str,
    challenge: Option<&str>,
    tokens: &Arc<TokenStore>,
) -> Result<Begun, String> {
    let said = |error: AuthError| words(&error);
    let oauth = &config.oauth;
    let mut manager = AuthorizationManager::new_allowing_private_addresses(url).await.map_err(said)?;
    let found = manager.resolve_metadata_from_challenge(challenge).await.map_err(said)?;
    manager.set_metadata(found.metadata);
    let scopes = match oauth.scopes.is_empty() {
        true => manager.select_initial_scopes(&[]).await,
        false => oauth.scopes.clone(),
    };
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let redirect = Redirect::listen(oauth.redirect_uri.as_deref()).await?;
    let mut place = ServerCredentialStore::new(tokens, &config.name, url);
    place.replaces = true;
    // A client that registers itself does so each time: its port is another one, and servers forget clients.
    match &oauth.client_id {
        Some(id) => {
            let mut client = OAuthClientConfig::new(id, redirect.uri());
            if let Some(secret) = &oauth.client_secret {
                client = client.with_client_secret(secret);
            }
            manager.configure_client(client).map_err(said)?;
        }
        None => {
            let client = manager.register_client("MCPProxy", redirect.uri(), &scopes).await.map_err(said)?;
            place.client_secret = client.client_secret;
        }
    }
    manager.set_credential_store(place);
    let address = manager.get_authorization_url(&scopes).await.map_err(said)?;
    let mut parsed = Url::parse(&address).map_err(|error| error.to_string())?;
    // It is opened on a person's desktop, where other kinds of address start programs.
    if !matches!(parsed.scheme(), "https" | "http") {
        return Err(format!("its sign-in page is a `{}:` address, expected `https:`", parsed.scheme()));
    }
    let state = parsed.query_pairs().find(|(key, _)| key == "state").map(|(_, value)| value.into_owned());
    say_too(&mut parsed, &oauth.extra_params);
    Ok(Begun {
        state: state.ok_or("the address to sign in at has no state")?,
        address: parsed.into(),
        manager,
        redirect,
        server: config.name.clone(),
    })
}

/// Adds a person's own parameters to the address of a sign-in page; what the protocol says there stands.
fn say_too(address: &mut Url, parameters: &BTreeMap<String, String>) {
    let said: Vec<String> = address.query_pairs().map(|(key, _)| key.into_owned()).collect();
    let more = parameters.iter().filter(|(key, _)| !said.contains(key));
    address.query_pairs_mut().extend_pairs(more);
}

impl Begun {
    /// Waits for the person, and keeps the tokens.
    ///
    /// # Errors
    /// A sentence.
    pub async fn finish(self) -> Result<(), String> {
        let Begun { state, manager, .. } = self;
        let exchange = async |callback: callback_server::Callback| {
            let issuer = callback.issuer.as_deref();
            let exchanged = manager.exchange_code_for_token_with_issuer(&callback.code, &state, issuer).await;
            exchanged.map(drop).map_err(|error| words(&error))
        };
        self.redirect.wait(LONGEST, &self.server, &state, exchange).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_own_parameters_stand_beside_the_protocols() {
        let mut address = Url::parse("https://a.example/authorize?client_id=c&state=s").unwrap();
        let own = [("audience", "https://api.example/?a&b"), ("state", "another")];
        say_too(&mut address, &own.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let expected = "https://a.example/authorize?client_id=c&state=s&audience=https%3A%2F%2Fapi.example%2F%3Fa%26b";
        assert_eq!(address.as_str(), expected);
    }
}
