//! Small requests over HTTPS, or over HTTP on loopback: any other connection could be read and changed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::contract::loopback::is_loopback_host;

/// An `https://` URL, or an `http://` URL on loopback.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// `None` for anything else, and for credentials and queries: URLs are logged.
    pub fn parse(text: &str) -> Option<Url> {
        let uri: hyper::Uri = text.trim().parse().ok()?;
        let authority = uri.authority()?;
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => is_loopback_host(authority.host()),
            _ => false,
        };
        let plain = !authority.as_str().contains('@') && uri.query().is_none();
        (secure && plain).then(|| Url(text.trim().to_owned()))
    }

    /// Whether it is an HTTPS URL; otherwise it is on loopback.
    pub fn is_secure(&self) -> bool {
        self.0.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

impl From<reqwest::Error> for RequestError {
    fn from(error: reqwest::Error) -> RequestError {
        if error.is_timeout() {
            return RequestError("no answer in time".to_owned());
        }
        let mut cause: &dyn Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        RequestError(cause.to_string())
    }
}

/// The response to a request, with its unread body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    response: reqwest::Response,
}

impl Answer {
    /// Reads the body.
    ///
    /// # Errors
    /// The connection broke, or the body is longer than `most` bytes.
    pub async fn body(mut self, most: usize) -> Result<Vec<u8>, RequestError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                return Err(RequestError(format!("the answer is longer than {most} bytes")));
            }
        }
        Ok(body)
    }
}

/// Sends a GET request to `address`, which is at the same origin as `url`.
///
/// Follows at most `redirects` redirects, and returns a further one as the response. A redirect away from HTTPS fails.
/// `limit` covers everything: name resolution, connection, request and response.
///
/// # Errors
/// The request failed or took too long.
pub async fn get(url: &Url, address: &str, limit: Duration, redirects: usize) -> Result<Answer, RequestError> {
    answer(client(url, limit, redirects)?.get(address)).await
}

/// Posts JSON. Returns a redirect as the response. `limit` covers everything, as in [`get`].
///
/// # Errors
/// As [`get`].
pub async fn post_json(url: &Url, body: Vec<u8>, limit: Duration) -> Result<Answer, RequestError> {
    let request = client(url, limit, 0)?.post(url.as_str());
    answer(request.header("Content-Type", "application/json").body(body)).await
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, RequestError> {
    let response = request.send().await?;
    Ok(Answer {
        status: response.status().as_u16(),
        response,
    })
}

fn client(url: &Url, limit: Duration, redirects: usize) -> Result<reqwest::Client, RequestError> {
    prepare();
    let policy = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > redirects { attempt.stop() } else { attempt.follow() }
    });
    let client =
        reqwest::Client::builder().user_agent("mcpproxy").timeout(limit).redirect(policy).https_only(url.is_secure());
    // Loopback never goes through the proxy of the environment, and needs no certificate authorities: a system without
    // any can still use it.
    let client = if url.is_secure() { client } else { client.no_proxy().tls_certs_only([]) };
    Ok(client.build()?)
}

/// Selects the cryptography for outgoing TLS connections, once per process; on macOS and Windows the system provides it.
pub fn prepare() {
    #[cfg(not(any(windows, target_os = "macos")))]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_accepted_anywhere_and_http_on_loopback() {
        for good in [
            "https://c.example/v1/",
            "http://127.0.0.1:8000",
            "http://[::1]:8000/v1",
            "http://localhost",
        ] {
            assert_eq!(Url::parse(good).as_ref().map(Url::as_str), Some(good));
        }
        for bad in [
            "",
            "c.example",
            "http://c.example",
            "http://127.0.0.1.c.example",
            "https://u:p@c.example",
            "https://c.example?x=1",
            "file:///etc",
            "http://localhost@c.example",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }
}
