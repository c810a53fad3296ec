//! HTTP for sign-ins: loopback never goes through a proxy, as for calls; and the registration of this program as a client.

use std::time::Duration;

use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationMetadata, OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::diagnostics::fault::{Failure, Fault};
use crate::upstream::oauth::error_text::{brief, words};
use crate::upstream::transport::error_text::{chain, shown};
use crate::upstream::transport::http;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest response that is read.
const LONGEST: usize = 1 << 20;

/// Requests about a server on this computer. Only URLs on this computer and public HTTPS URLs are used: the server chooses them.
pub struct LoopbackHttp;

impl OAuthHttpClient for LoopbackHttp {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request.request)?;
            check(request.url())?;
            let client = http::build(request.url(), |client| client.timeout(TIMEOUT))?;
            let response = client.execute(request).await?;
            let mut parts = axum::http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                parts = parts.header(name, value);
            }
            Ok(parts.body(body(response).await?)?)
        })
    }
}

fn check(url: &Url) -> Result<(), String> {
    if http::is_loopback(url) || url.scheme() == "https" {
        return Ok(());
    }
    Err(format!("`{}` is neither on this computer nor HTTPS", shown(url.as_str())))
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
pub async fn register(endpoint: &str, redirect: &str, scopes: &[&str]) -> Result<Registration, Failure> {
    let refused = |text: String| registration_refused(Fault::RegistrationRefused, &text);
    let url = Url::parse(endpoint).map_err(|error| refused(error.to_string()))?;
    check(&url).map_err(refused)?;
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
    let client = http::build(&url, |client| client.timeout(TIMEOUT)).map_err(|error| refused(chain(&error)))?;
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
    use std::sync::Arc;

    use axum::http::StatusCode;
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::post;
    use rmcp::transport::auth::{
        AuthorizationManager, CredentialStore, InMemoryCredentialStore, OAuthClientConfig, StoredCredentials,
    };

    use super::*;
    use crate::upstream::oauth::error_text::is_unknown_client;

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
            let manager = AuthorizationManager::new_with_oauth_http_client(&url, Arc::new(LoopbackHttp)).await;
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
        let registration = register(&endpoint, "http://127.0.0.1:1/callback", &["a", "b"]).await.unwrap();
        let method = registration.token_endpoint_auth_method.as_deref();
        assert_eq!((registration.client_secret.as_deref(), method), (Some("s"), Some("client_secret_post")));
        let mut metadata = AuthorizationMetadata::default();
        set_auth_method(&mut metadata, "client_secret_post");
        let methods = &metadata.additional_fields["token_endpoint_auth_methods_supported"];
        assert_eq!(methods, &json!(["client_secret_post"]));
    }

    #[test]
    fn only_this_computer_and_https_are_used() {
        for url in [
            "http://127.0.0.1:1/x",
            "http://localhost/x",
            "http://[::1]:2/",
            "https://h.example/",
        ] {
            assert_eq!(check(&Url::parse(url).unwrap()), Ok(()), "{url}");
        }
        assert!(check(&Url::parse("http://169.254.169.254/latest").unwrap()).is_err());
    }
}
