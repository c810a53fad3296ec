//! Servers over HTTP: how they are reached.

use std::time::Duration;

use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationManager};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::config::ServerConfig;
use crate::contract::loopback::is_loopback_host;
use crate::upstream::transport::error_text::chain;
use crate::upstream::transport::http_client::HttpClient;
use crate::upstream::transport::resolver::SystemResolver;

/// How long a connection may take; each call has its own limit for the response.
const CONNECT: Duration = Duration::from_secs(10);

/// The HTTP client for a server, with the headers of its entry.
///
/// # Errors
/// The URL or a header of the entry is not valid.
pub fn client(config: &ServerConfig) -> Result<reqwest::Client, String> {
    let url = config.url.as_deref().unwrap_or_default();
    let url = reqwest::Url::parse(url).map_err(|error| format!("`url` is not a valid URL ({error}): correct it"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`url` begins with `{}:`, expected `https:` or `http:`", url.scheme()));
    }
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in &config.headers {
        let parsed = reqwest::header::HeaderName::from_bytes(name.as_bytes());
        let mut value = reqwest::header::HeaderValue::from_str(value)
            .map_err(|_| format!("the value of header `{name}` contains a character that headers cannot carry"))?;
        value.set_sensitive(true);
        headers.insert(parsed.map_err(|_| format!("`{name}` is not a valid header name"))?, value);
    }
    let client = build(&url, |client| client.connect_timeout(CONNECT).default_headers(headers.clone()));
    client.map_err(|error| format!("could not set up HTTP: {}", chain(&error)))
}

/// Builds a client for requests to this URL. Plain HTTP also works on a system without certificate authorities.
///
/// # Errors
/// The system has no certificate authorities, and the URL needs one.
pub fn build(
    url: &reqwest::Url,
    configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, reqwest::Error> {
    configure(builder(url)).build().or_else(|error| match url.scheme() {
        "http" => configure(builder(url)).tls_certs_only([]).build(),
        _ => Err(error),
    })
}

/// A client for requests to this URL. Redirects are not followed: headers and tokens are meant for this URL alone.
/// Loopback never goes through a proxy, for calls as for sign-ins.
fn builder(url: &reqwest::Url) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder()
        .user_agent(concat!("mcpproxy/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(SystemResolver::shared());
    if is_loopback(url) { client.no_proxy() } else { client }
}

/// The transport to a server; `manager` adds the token of a signed-in user.
pub fn transport(
    config: &ServerConfig,
    client: reqwest::Client,
    manager: AuthorizationManager,
) -> StreamableHttpClientTransport<AuthClient<HttpClient>> {
    let url = config.url.as_deref().unwrap_or_default();
    let settings = StreamableHttpClientTransportConfig::with_uri(url);
    let client = HttpClient::new(client, &config.name);
    StreamableHttpClientTransport::with_client(AuthClient::new(client, manager), settings)
}

/// Whether a URL points to this computer.
pub fn is_loopback(url: &reqwest::Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, headers: &[(&str, &str)]) -> ServerConfig {
        ServerConfig {
            url: Some(url.to_owned()),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_explained() {
        crate::os::https::prepare();
        let error = |config: ServerConfig| client(&config).err().unwrap_or_default();
        assert!(error(server("mcp.example", &[])).contains("not a valid URL"));
        assert!(error(server("file:///etc", &[])).contains("expected `https:`"));
        assert!(error(server("http://h/", &[("A b", "x")])).contains("`A b` is not a valid header name"));
        let value = error(server("http://h/", &[("X", "se\ncret")]));
        assert!(value.contains("header `X`") && !value.contains("cret"), "{value}");
    }
}
