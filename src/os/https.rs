//! Small requests over HTTPS, or over HTTP on loopback: any other connection could be read and changed.

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

/// Makes requests to `url` that take at most `limit` altogether. Blocks: use it only on a thread that may.
///
/// A redirect beyond `redirects` is returned as the response; one away from HTTPS fails. TLS is the system's on macOS and Windows and Rustls
/// elsewhere, to avoid linking OpenSSL.
pub fn agent(url: &Url, limit: Duration, redirects: u32) -> ureq::Agent {
    let provider = if cfg!(any(windows, target_os = "macos")) {
        ureq::tls::TlsProvider::NativeTls
    } else {
        ureq::tls::TlsProvider::Rustls
    };
    ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .https_only(url.is_secure())
        .max_redirects(redirects)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent("mcpproxy")
        // The proxy of the environment applies to HTTPS only; loopback never goes through it.
        .proxy(if url.is_secure() { ureq::Proxy::try_from_env() } else { None })
        .tls_config(ureq::tls::TlsConfig::builder().provider(provider).build())
        .build()
        .into()
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
