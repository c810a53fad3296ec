//! HTTP for sign-ins: only to addresses that the server may lead to, and loopback never through a proxy, as for calls; and the
//! registration of this program as a client.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationMetadata, OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::diagnostics::fault::{Failure, Fault};
use crate::upstream::oauth::addresses::{AddressPolicy, CheckedResolver};
use crate::upstream::oauth::error_text::{brief, words};
use crate::upstream::transport::error_text::chain;
use crate::upstream::transport::http;
use crate::upstream::transport::resolver::SystemResolver;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest response that is read.
const LONGEST: usize = 1 << 20;

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Requests for the sign-in to one server, which chooses their URLs.
pub struct SignInHttp {
    policy: Arc<AddressPolicy>,
}

impl SignInHttp {
    pub fn new(policy: Arc<AddressPolicy>) -> SignInHttp {
        SignInHttp { policy }
    }
}

impl OAuthHttpClient for SignInHttp {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let follows = matches!(request.redirect_policy, OAuthHttpRedirectPolicy::Follow);
            let request = reqwest::Request::try_from(request.request)?;
            let client = client(&self.policy, request.url(), if follows { REDIRECTS } else { 0 })?;
            let response = client.execute(request).await?;
            let mut parts = axum::http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                parts = parts.header(name, value);
            }
            Ok(parts.body(body(response).await?)?)
        })
    }
}

/// A client for one request of a sign-in. It connects only where the policy allows.
fn client(policy: &Arc<AddressPolicy>, url: &Url, redirects: usize) -> Result<reqwest::Client, String> {
    policy.check(url)?;
    let configure = |client: reqwest::ClientBuilder| {
        let follows = policy.clone();
        let redirect = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > redirects || follows.check(attempt.url()).is_err() {
                attempt.stop()
            } else {
                attempt.follow()
            }
        });
        let resolver = CheckedResolver {
            policy: policy.clone(),
            lookup: SystemResolver::shared(),
        };
        client.timeout(TIMEOUT).redirect(redirect).dns_resolver(Arc::new(resolver))
    };
    http::build(url, configure).map_err(|error| chain(&error))
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + piece.len() > LONGEST {
            return Err("the response is too long".to_owned());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// This program as a client of an authorization server.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Registration {
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Option<String>,
    /// How the client authenticates at the token endpoint.
    #[serde(default)]
    pub token_endpoint_auth_method: Option<String>,
}

/// The error of a refused registration.
#[derive(Debug, Default, Deserialize)]
struct RegistrationError {
    #[serde(default)]
    error: String,
}

fn registration_refused(fault: Fault, text: &str) -> Failure {
    Failure::new(fault, words(&AuthError::RegistrationFailed(text.to_owned())))
}

/// The body of a registration (RFC 7591).
#[derive(Serialize)]
struct RegistrationRequest<'a> {
    client_name: &'static str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'static str,
    application_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Registers this program (RFC 7591). The library does the same, but ignores the authentication method in the response.
///
/// # Errors
/// Why the registration failed.
pub async fn register(
    policy: &Arc<AddressPolicy>,
    endpoint: &str,
    redirect: &str,
    scopes: &[&str],
) -> Result<Registration, Failure> {
    let refused = |text: String| registration_refused(Fault::RegistrationRefused, &text);
    let url = Url::parse(endpoint).map_err(|error| refused(error.to_string()))?;
    let client = client(policy, &url, 0).map_err(refused)?;
    let request = RegistrationRequest {
        client_name: "MCPProxy",
        redirect_uris: [redirect],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "none",
        application_type: "native",
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
    };
    let request = serde_json::to_vec(&request).map_err(|error| refused(error.to_string()))?;
    let request = client.post(url).header("content-type", "application/json").body(request);
    let response = request.send().await.map_err(|error| refused(chain(&error.without_url())))?;
    let status = response.status();
    let body = body(response).await.map_err(refused)?;
    if !status.is_success() {
        // The value of RFC 7591, not a text.
        let error = serde_json::from_slice::<RegistrationError>(&body).unwrap_or_default().error;
        let fault = match error.as_str() {
            "invalid_redirect_uri" => Fault::CallbackMismatch,
            _ => Fault::RegistrationRefused,
        };
        let text = brief(&format!("HTTP {status}: {}", String::from_utf8_lossy(&body)));
        return Err(registration_refused(fault, &text));
    }
    let registration: Registration =
        serde_json::from_slice(&body).map_err(|error| refused(format!("could not read the registration: {error}")))?;
    // Some servers send an empty secret to public clients.
    let client_secret = registration.client_secret.filter(|secret| !secret.is_empty());
    Ok(Registration {
        client_secret,
        ..registration
    })
}

/// Makes the library use this method at the token endpoint: it goes by the methods that the server supports.
pub fn set_auth_method(metadata: &mut AuthorizationMetadata, method: &str) {
    metadata.additional_fields.insert("token_endpoint_auth_methods_supported".to_owned(), json!([method]));
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::post;
    use rmcp::transport::auth::{
        AuthorizationManager, CredentialStore, InMemoryCredentialStore, OAuthClientConfig, StoredCredentials,
    };

    use super::*;
    use crate::upstream::oauth::error_text::is_unknown_client;

    /// HTTP for the sign-in to a server on this computer.
    async fn local() -> SignInHttp {
        SignInHttp::new(Arc::new(AddressPolicy::of(&Url::parse("http://127.0.0.1:1/mcp").unwrap()).await))
    }

    /// The library has only text for this error: this is the text that it really has.
    #[tokio::test]
    async fn a_client_that_the_authorization_server_does_not_know_any_more_is_recognised() {
        crate::os::https::prepare();
        for (error, is_unknown) in [
            ("invalid_client", true),
            ("unauthorized_client", true),
            ("temporarily_unavailable", false),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let body = json!({"error": error}).to_string();
            let refuse = move || {
                let body = body.clone();
                async move { (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/json")], body) }
            };
            let pages = axum::Router::new().route("/token", post(refuse));
            tokio::spawn(axum::serve(listener, pages).into_future());
            let manager = AuthorizationManager::new_with_oauth_http_client(&url, Arc::new(local().await)).await;
            let mut manager = manager.unwrap();
            let mut metadata = AuthorizationMetadata::default();
            metadata.authorization_endpoint = format!("{url}/authorize");
            metadata.token_endpoint = format!("{url}/token");
            manager.set_metadata(metadata);
            let store = InMemoryCredentialStore::new();
            let token = json!({"access_token": "a", "token_type": "bearer", "refresh_token": "r"});
            let token = serde_json::from_value(token).unwrap();
            store.save(StoredCredentials::new("c".to_owned(), Some(token), Vec::new(), Some(1))).await.unwrap();
            manager.set_credential_store(store);
            manager.configure_client(OAuthClientConfig::new("c", &url)).unwrap();
            let failed = manager.refresh_token().await.unwrap_err();
            assert_eq!(is_unknown_client(&failed), is_unknown, "{failed}");
        }
    }

    #[tokio::test]
    async fn a_registration_says_how_the_client_authenticates() {
        crate::os::https::prepare();
        let answer = r#"{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}"#;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/register", listener.local_addr().unwrap());
        let pages = axum::Router::new().route("/register", post(move || async move { answer }));
        tokio::spawn(axum::serve(listener, pages).into_future());
        let registration =
            register(&local().await.policy, &endpoint, "http://127.0.0.1:1/callback", &["a", "b"]).await.unwrap();
        let method = registration.token_endpoint_auth_method.as_deref();
        assert_eq!((registration.client_secret.as_deref(), method), (Some("s"), Some("client_secret_post")));
        let mut metadata = AuthorizationMetadata::default();
        set_auth_method(&mut metadata, "client_secret_post");
        let methods = &metadata.additional_fields["token_endpoint_auth_methods_supported"];
        assert_eq!(methods, &json!(["client_secret_post"]));
    }

    #[tokio::test]
    async fn a_server_on_the_internet_cannot_register_this_program_on_this_computer() {
        crate::os::https::prepare();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let policy = Arc::new(AddressPolicy::of(&Url::parse("https://8.8.8.8/mcp").unwrap()).await);
        for endpoint in [
            format!("http://127.0.0.1:{port}/register"),
            format!("https://localhost:{port}/register"),
        ] {
            let refused = register(&policy, &endpoint, "http://127.0.0.1:1/callback", &[]).await.unwrap_err();
            assert!(refused.text.contains("is on this computer"), "{}", refused.text);
        }
        let asked = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(asked.is_err(), "nothing was sent");
    }

    #[tokio::test]
    async fn a_redirect_into_a_private_network_is_not_followed() {
        crate::os::https::prepare();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let away = || async { (StatusCode::FOUND, [("location", "http://169.254.169.254/latest")], "away") };
        tokio::spawn(axum::serve(listener, axum::Router::new().route("/", axum::routing::get(away))).into_future());
        let policy = Arc::new(AddressPolicy::of(&Url::parse(&url).unwrap()).await);
        let request = Url::parse(&url).unwrap();
        let response = client(&policy, &request, REDIRECTS).unwrap().get(request).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
    }
}
