//! Servers over HTTP: how one is reached, and in words why it was not.

use std::time::Duration;

use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationManager};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::config::ServerConfig;
use crate::upstream::transport::error_text::chain;
use crate::upstream::transport::oversized_response::OversizedResponses;

/// How long a connection may take; how long an answer may take is each call's own limit.
const CONNECT: Duration = Duration::from_secs(10);

/// What speaks HTTP with a server, with the headers a person set for it.
///
/// # Errors
/// A sentence: the address or a header cannot be used as it is written.
pub fn client(config: &ServerConfig) -> Result<reqwest::Client, String> {
    let url = config.url.as_deref().unwrap_or_default();
    let address = reqwest::Url::parse(url).map_err(|error| format!("`url` is no address ({error}): correct it"))?;
    if !matches!(address.scheme(), "http" | "https") {
        return Err(format!("`url` begins with `{}:`, expected `https:` or `http:`", address.scheme()));
    }
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in &config.headers {
        let named = reqwest::header::HeaderName::from_bytes(name.as_bytes());
        let mut value = reqwest::header::HeaderValue::from_str(value)
            .map_err(|_| format!("header `{name}`: its value has a character that no header can carry"))?;
        value.set_sensitive(true);
        headers.insert(named.map_err(|_| format!("`{name}` is no name of a header"))?, value);
    }
    // Redirects are not followed: the headers are for this address and for nobody it points to.
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("mcpproxy/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .default_headers(headers);
    if is_of_this_computer(&address) {
        client = client.no_proxy();
    }
    client.build().map_err(|error| format!("HTTP cannot be used here: {}", chain(&error)))
}

/// The way to a server; `manager` puts the token in where somebody has signed in.
pub fn transport(
    config: &ServerConfig,
    client: reqwest::Client,
    manager: AuthorizationManager,
) -> StreamableHttpClientTransport<OversizedResponses<AuthClient<reqwest::Client>>> {
    let url = config.url.as_deref().unwrap_or_default();
    let setting = StreamableHttpClientTransportConfig::with_uri(url);
    StreamableHttpClientTransport::with_client(OversizedResponses(AuthClient::new(client, manager)), setting)
}

fn is_of_this_computer(address: &reqwest::Url) -> bool {
    match address.host_str().unwrap_or_default().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// The TLS that outgoing connections use, made once: on Linux the library is told which cryptography to take.
pub fn prepare() {
    #[cfg(not(any(windows, target_os = "macos")))]
    let _ = rustls::crypto::ring::default_provider().install_default();
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
    fn what_cannot_be_used_is_said() {
        prepare();
        let said = |config: ServerConfig| client(&config).err().unwrap_or_default();
        assert!(said(server("mcp.example", &[])).contains("no address"));
        assert!(said(server("file:///etc", &[])).contains("expected `https:`"));
        assert!(said(server("http://h/", &[("A b", "x")])).contains("`A b` is no name"));
        let value = said(server("http://h/", &[("X", "se\ncret")]));
        assert!(value.contains("header `X`") && !value.contains("cret"), "{value}");
    }
}
