//! Signs in to servers with a browser (OAuth 2.1 and MCP's authorization specification).
//!
//! The library implements the protocol: discovery, PKCE, `resource`, renewal. [`token_store`] keeps the tokens, [`callback_server`]
//! waits for the browser, and this file joins them.

mod addresses;
pub mod callback_server;
pub mod error_text;
pub mod http;
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
use crate::diagnostics::fault::{Failure, Fault};
use crate::os::keychain::KeychainError;
use crate::telemetry::payload::OauthProvider;
use crate::upstream::connect_error::ConnectError;
use crate::upstream::oauth::addresses::AddressPolicy;
use crate::upstream::oauth::error_text::failure;
use crate::upstream::oauth::http::SignInHttp;
use crate::upstream::oauth::policy::{has_own, without_pkce};
use crate::upstream::resolve::keychain_fault;
use crate::upstream::sign_in_state::provider;
use crate::upstream::transport::error_text::shown;

/// How long the preparation of a sign-in may take; its caller waits for it.
const PREPARE: Duration = Duration::from_secs(8);
/// How long the user may take to sign in.
const LONGEST: Duration = Duration::from_secs(600);

/// Adds the token of the signed-in user to requests, if there is one; returns also its provider.
///
/// # Errors
/// [`ConnectError`]: the tokens are locked, or the authorization server cannot be reached.
pub async fn manager(
    config: &ServerConfig,
    tokens: &Arc<TokenStore>,
) -> Result<(AuthorizationManager, Option<OauthProvider>), ConnectError> {
    let url = config.url.as_deref().unwrap_or_default();
    let unusable = |error: AuthError| ConnectError::Failed(failure(&error));
    let kept = match has_own(config) {
        true => None,
        false => {
            let locked = |error: KeychainError| {
                let text = format!("could not read the sign-in: {error}");
                ConnectError::Locked(Failure::new(keychain_fault(&error), text))
            };
            tokens.open_for(&config.name).await.map_err(locked)?;
            tokens.of(&config.name, url)
        }
    };
    let Some(kept) = kept else {
        let manager = AuthorizationManager::new_with_oauth_http_client(url, Arc::new(NoHttp)).await;
        return Ok((manager.map_err(unusable)?, None));
    };
    let (mut manager, _) = new_manager(url).await.map_err(unusable)?;
    manager.set_credential_store(ServerCredentialStore::new(tokens, &config.name, url));
    let found = manager.resolve_metadata().await.map_err(unusable)?;
    if kept.issuer().is_some() && !found.source.is_discovered() {
        // The library would guess a URL now, but the refresh token is meant for its issuer alone.
        let text = format!("`{}` does not say where tokens are renewed; retrying", shown(url));
        return Err(ConnectError::failed(Fault::DiscoveryFailed, text));
    }
    let mut metadata = found.metadata;
    if let Some(method) = &kept.auth_method {
        http::set_auth_method(&mut metadata, method);
    }
    manager.set_metadata(metadata);
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

/// A manager for a server at this URL, and the addresses that its sign-in may use. Only a server in a private network may
/// name authorization servers there: one on the internet could make this program send requests into your network.
async fn new_manager(url: &str) -> Result<(AuthorizationManager, Arc<AddressPolicy>), AuthError> {
    let policy = Arc::new(match Url::parse(url) {
        Ok(url) => AddressPolicy::of(&url).await,
        Err(_) => AddressPolicy::default(),
    });
    // The library's own clients check the addresses when they connect, but would ask the name again, and use the proxy of the
    // environment on loopback.
    let manager = if policy.is_by_name() || policy.is_on_this_computer() {
        AuthorizationManager::new_with_oauth_http_client(url, Arc::new(SignInHttp::new(policy.clone()))).await
    } else if policy.is_private() {
        AuthorizationManager::new_allowing_private_addresses(url).await
    } else {
        AuthorizationManager::new(url).await
    };
    Ok((manager?, policy))
}

/// The HTTP client of a server without a sign-in, which needs none: a real one would load every certificate of the system, for each
/// server.
struct NoHttp;

impl OAuthHttpClient for NoHttp {
    fn execute(&self, _request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async { Err("there is no sign-in".into()) })
    }
}

/// A sign-in that waits for the user.
pub struct Begun {
    /// The URL to open in a browser.
    pub address: String,
    state: String,
    manager: AuthorizationManager,
    redirect: Redirect,
    server: String,
}

/// Finds the authorization server and registers this program there.
///
/// # Errors
/// Why the sign-in could not begin.
pub async fn begin(config: &ServerConfig, challenge: Option<&str>, tokens: &Arc<TokenStore>) -> Result<Begun, Failure> {
    let url = config.url.as_deref().unwrap_or_default();
    let begun = tokio::time::timeout(PREPARE, prepare(config, url, challenge, tokens)).await;
    let failed = |why: &str| format!("could not begin the sign-in to `{}`: {why}", shown(url));
    match begun {
        Ok(begun) => begun.map_err(|failure| failure.map_text(failed)),
        Err(_) => {
            let text = failed(&format!("no answer within {} s", PREPARE.as_secs()));
            Err(Failure::new(Fault::DiscoveryFailed, text))
        }
    }
}

async fn prepare(
    config: &ServerConfig,
    url: &str,
    challenge: Option<&str>,
    tokens: &Arc<TokenStore>,
) -> Result<Begun, Failure> {
    let text = |error: AuthError| failure(&error);
    let oauth = &config.oauth;
    let (mut manager, policy) = new_manager(url).await.map_err(text)?;
    let challenge = Url::parse(url).ok().and_then(|base| policy.checked_challenge(challenge, &base));
    let found = manager.resolve_metadata_from_challenge(challenge).await.map_err(text)?;
    if let Some(problem) = without_pkce(config, &found.metadata, found.source.is_discovered()) {
        return Err(Failure::new(Fault::SignInFailed, problem));
    }
    let mut metadata = found.metadata;
    manager.set_metadata(metadata.clone());
    let scopes = match oauth.scopes.is_empty() {
        true => manager.select_initial_scopes(&[]).await,
        false => oauth.scopes.clone(),
    };
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let redirect = Redirect::listen(oauth.redirect_uri.as_deref()).await?;
    let mut credentials = ServerCredentialStore::new(tokens, &config.name, url);
    credentials.replaces = true;
    // A dynamic client registers each time: its port differs, and servers forget clients.
    match &oauth.client_id {
        Some(id) => {
            let mut client = OAuthClientConfig::new(id, redirect.uri());
            if let Some(secret) = &oauth.client_secret {
                client = client.with_client_secret(secret);
            }
            manager.configure_client(client).map_err(text)?;
        }
        None => {
            let refused = |why| text(AuthError::RegistrationFailed(why));
            let endpoint = metadata.registration_endpoint.as_deref();
            let endpoint = endpoint.ok_or_else(|| refused("it does not support registration".to_owned()))?;
            let registered = http::register(&policy, endpoint, redirect.uri(), &scopes).await?;
            if let Some(method) = &registered.token_endpoint_auth_method {
                http::set_auth_method(&mut metadata, method);
                manager.set_metadata(metadata);
            }
            let mut client = OAuthClientConfig::new(registered.client_id, redirect.uri());
            if let Some(secret) = &registered.client_secret {
                client = client.with_client_secret(secret);
            }
            manager.configure_client(client).map_err(text)?;
            credentials.client_secret = registered.client_secret;
            credentials.auth_method = registered.token_endpoint_auth_method;
        }
    }
    manager.set_credential_store(credentials);
    let address = manager.get_authorization_url(&scopes).await.map_err(text)?;
    let mut parsed = Url::parse(&address).map_err(|error| Failure::from(error.to_string()))?;
    // It is opened on the user's desktop, where other schemes start programs.
    if !matches!(parsed.scheme(), "https" | "http") {
        return Err(format!("its sign-in page is a `{}:` URL, expected `https:`", parsed.scheme()).into());
    }
    let state = parsed.query_pairs().find(|(key, _)| key == "state").map(|(_, value)| value.into_owned());
    add_parameters(&mut parsed, &oauth.extra_params);
    Ok(Begun {
        state: state.ok_or("the URL of the sign-in page has no `state`")?,
        address: parsed.into(),
        manager,
        redirect,
        server: config.name.clone(),
    })
}

/// Adds the entry's own parameters to the URL of a sign-in page; those of the protocol stay.
fn add_parameters(address: &mut Url, parameters: &BTreeMap<String, String>) {
    let present: Vec<String> = address.query_pairs().map(|(key, _)| key.into_owned()).collect();
    let more = parameters.iter().filter(|(key, _)| !present.contains(key));
    address.query_pairs_mut().extend_pairs(more);
}

impl Begun {
    /// Waits for the user, and keeps the tokens.
    ///
    /// # Errors
    /// Why there is no sign-in.
    pub async fn finish(self) -> Result<(), Failure> {
        let Begun { state, manager, .. } = self;
        let exchange = async |callback: callback_server::Callback| {
            let issuer = callback.issuer.as_deref();
            let exchanged = manager.exchange_code_for_token_with_issuer(&callback.code, &state, issuer).await;
            exchanged.map(drop).map_err(|error| failure(&error))
        };
        self.redirect.wait(LONGEST, &self.server, &state, exchange).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entrys_own_parameters_are_added_to_the_protocols() {
        let mut address = Url::parse("https://a.example/authorize?client_id=c&state=s").unwrap();
        let own = [("audience", "https://api.example/?a&b"), ("state", "another")];
        add_parameters(&mut address, &own.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let expected = "https://a.example/authorize?client_id=c&state=s&audience=https%3A%2F%2Fapi.example%2F%3Fa%26b";
        assert_eq!(address.as_str(), expected);
    }
}
