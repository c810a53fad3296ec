//! Servers over HTTP: how one is reached, and in words why it was not.

use std::error::Error;
use std::time::Duration;

use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthError, AuthorizationManager};
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};

use crate::config::{Protocol, ServerConfig};
use crate::upstream::oauth::{ConnectError, has_own, is_unknown_client, words};
use crate::upstream::snapshot::first_line;
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

/// An address as it may be shown: without a name and password before the host, and without what follows a `?`.
pub fn shown(url: &str) -> String {
    let Ok(mut address) = reqwest::Url::parse(url) else {
        return url.split(['?', '@']).next().unwrap_or_default().to_owned();
    };
    let _ = address.set_username("");
    let _ = address.set_password(None);
    let hidden = if address.query().is_some() { "?…" } else { "" };
    address.set_query(None);
    address.set_fragment(None);
    format!("{address}{hidden}")
}

/// Why no session was opened, and what to do.
pub fn not_opened(config: &ServerConfig, error: &ClientInitializeError) -> ConnectError {
    let url = || shown(config.url.as_deref().unwrap_or_default());
    match error {
        ClientInitializeError::TransportError { error, .. } => explained(config, error.error.as_ref()),
        ClientInitializeError::ConnectionClosed(said) => format!("`{}` closed the connection: {said}", url()).into(),
        other => format!("`{}` is no MCP server that can be used: {other}", url()).into(),
    }
}

/// Whether a server answered that it does not take such a request.
pub fn is_refusal(error: &ClientInitializeError) -> bool {
    let ClientInitializeError::TransportError { error, .. } = error else { return false };
    let status = match error.error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::SessionExpired) => Some(404),
        _ => refused(error.error.as_ref()),
    };
    matches!(status, Some(400 | 404 | 405 | 406 | 415 | 422))
}

/// Why a request did not reach the server.
pub fn not_sent(config: &ServerConfig, error: &ServiceError) -> ConnectError {
    match error {
        ServiceError::TransportSend(error) => explained(config, error.error.as_ref()),
        other => format!("`{}`: {other}", shown(config.url.as_deref().unwrap_or_default())).into(),
    }
}

/// What it means that a server's stream is over.
pub fn ended(config: &ServerConfig, said: &str) -> ConnectError {
    format!("`{}` is gone: {said}", shown(config.url.as_deref().unwrap_or_default())).into()
}

/// The status with which a request was refused, if it was.
pub fn refused(error: &(dyn Error + 'static)) -> Option<u16> {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::HttpStatus(error)) => Some(error.status),
        Some(StreamableHttpError::UnexpectedServerResponse(said)) => status_of(said),
        _ => None,
    }
}

/// What an error of the library means to a person.
pub fn explained(config: &ServerConfig, error: &(dyn Error + 'static)) -> ConnectError {
    let url = shown(config.url.as_deref().unwrap_or_default());
    let of_status = |url: &str, status| of_status(config.protocol, url, status);
    let sentence = match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::AuthRequired(said)) if !has_own(config) => {
            return ConnectError::SignIn(Some(said.www_authenticate_header.clone()));
        }
        Some(StreamableHttpError::InsufficientScope(said)) if !has_own(config) => {
            return ConnectError::SignIn(Some(said.www_authenticate_header.clone()));
        }
        Some(StreamableHttpError::Auth(error)) if is_unknown_client(error) => return ConnectError::SignIn(None),
        Some(StreamableHttpError::Auth(AuthError::AuthorizationRequired)) => return ConnectError::SignIn(None),
        Some(StreamableHttpError::Auth(error)) => format!("`{url}`: {}", words(error)),
        Some(StreamableHttpError::AuthRequired(_)) => of_status(&url, 401),
        Some(StreamableHttpError::InsufficientScope(_)) => of_status(&url, 403),
        Some(StreamableHttpError::SessionExpired) => of_status(&url, 404),
        Some(StreamableHttpError::HttpStatus(error)) => of_status(&url, error.status),
        Some(StreamableHttpError::UnexpectedServerResponse(said)) => match status_of(said) {
            // Without a word on how to sign in; some servers say it at their well-known address only.
            Some(401) if !has_own(config) => return ConnectError::SignIn(None),
            Some(status) => of_status(&url, status),
            None => format!("`{url}` does not answer as an MCP server does: {}", first_line(said)),
        },
        Some(StreamableHttpError::Client(error)) => of_connection(config.protocol, &url, error),
        Some(other) => format!("`{url}`: {}", first_line(&chain(other))),
        None => format!("`{url}`: {}", first_line(&chain(error))),
    };
    ConnectError::Failed(sentence)
}

fn of_connection(protocol: Protocol, url: &str, error: &reqwest::Error) -> String {
    let said = causes(error).last().map(ToString::to_string).unwrap_or_default();
    match error.status() {
        Some(status) => of_status(protocol, url, status.as_u16()),
        None if error.is_timeout() => {
            format!("`{url}` does not answer in time: is the server busy, or the network slow?")
        }
        None if error.is_connect() => {
            format!("`{url}` cannot be reached ({said}): is the server running, and the address right?")
        }
        None => format!("`{url}` broke off ({said})"),
    }
}

/// The status in the library's words for an answer that it cannot use: `HTTP 404 Not Found: …`.
fn status_of(said: &str) -> Option<u16> {
    said.strip_prefix("HTTP ")?.split([' ', ':']).next()?.parse().ok()
}

fn of_status(protocol: Protocol, url: &str, status: u16) -> String {
    match status {
        401 | 403 => format!(
            "`{url}` wants to know who asks ({status}): set what it expects in `headers`, for example another `Authorization`; \
             without one you can sign in by a browser"
        ),
        404 | 405 => match protocol {
            Protocol::Sse => format!(
                "`{url}` has no MCP endpoint of the older HTTP+SSE kind ({status}): correct `url`, or set `protocol` to \
                 `streamable-http` if it is one of today"
            ),
            Protocol::Auto => format!(
                "`{url}` has no MCP endpoint over streamable HTTP ({status}), nor one of the older HTTP+SSE kind: correct `url`"
            ),
            _ => format!(
                "`{url}` has no MCP endpoint over streamable HTTP ({status}): correct `url`, or set `protocol` to `sse` if it \
                 is of the older HTTP+SSE kind"
            ),
        },
        300..=399 => format!("`{url}` points elsewhere ({status}): write the new address as `url`"),
        429 => format!("`{url}` gets too many requests ({status}): it is tried again more slowly"),
        500..=599 => format!("`{url}` has a problem of its own ({status}): it is tried again"),
        other => format!("`{url}` refuses ({other})"),
    }
}

pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error with its sources, each said once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = if said.is_empty() { text } else { format!("{said}: {text}") };
        }
    }
    said
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
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(shown("https://ann:pw@h.example/mcp?key=1#x"), "https://h.example/mcp?…");
        assert_eq!(shown("http://127.0.0.1:1/mcp"), "http://127.0.0.1:1/mcp");
        assert_eq!(shown("no address?key=1"), "no address");
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

    #[test]
    fn the_status_is_found_in_the_librarys_words() {
        assert_eq!(status_of("HTTP 404 Not Found: <!DOCTYPE html>"), Some(404));
        assert_eq!(status_of("could not parse JSON body"), None);
    }

    #[test]
    fn each_status_says_what_to_do() {
        for (protocol, status, word) in [
            (Protocol::Auto, 401, "headers"),
            (Protocol::Auto, 404, "nor one of the older"),
            (Protocol::Sse, 404, "set `protocol` to `streamable-http`"),
            (Protocol::StreamableHttp, 405, "set `protocol` to `sse`"),
            (Protocol::Sse, 308, "new address"),
            (Protocol::Http, 503, "tried again"),
        ] {
            assert!(of_status(protocol, "u", status).contains(word), "{status}");
        }
    }
}
