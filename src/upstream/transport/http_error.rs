//! Explains errors of servers over HTTP, and what to do.

use std::error::Error;

use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::auth::AuthError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::config::{Protocol, ServerConfig};
use crate::diagnostics::fault::Fault;
use crate::upstream::connect_error::ConnectError;
use crate::upstream::oauth::error_text::{fault_of, is_unknown_client, words};
use crate::upstream::oauth::policy::has_own;
use crate::upstream::rejection::{not_mcp, rejection};
use crate::upstream::transport::error_text::{causes, chain, first_line, shown};
use crate::upstream::transport::network_fault;

/// Why no session was opened, and what to do.
pub fn not_opened(config: &ServerConfig, error: &ClientInitializeError) -> ConnectError {
    let url = || shown(config.url.as_deref().unwrap_or_default());
    match error {
        ClientInitializeError::TransportError { error, .. } => explained(config, error.error.as_ref()),
        ClientInitializeError::ConnectionClosed(reason) => {
            let text = format!("`{}` closed the connection: {reason}", url());
            ConnectError::failed(Fault::Lost { host: host(config) }, text)
        }
        ClientInitializeError::JsonRpcError(error) => {
            let text = format!("`{}` did not respond like an MCP server: JSON-RPC error: {error}", url());
            ConnectError::failed(rejection(error, true), text)
        }
        other => {
            let fault = match other {
                ClientInitializeError::NoCompatibleProtocolVersion { .. } => Fault::ProtocolVersion,
                _ => Fault::NotMcp { over_http: true },
            };
            let text = format!("`{}` did not respond like an MCP server: {}", url(), not_mcp(other));
            ConnectError::failed(fault, text)
        }
    }
}

fn host(config: &ServerConfig) -> String {
    let url = reqwest::Url::parse(config.url.as_deref().unwrap_or_default()).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether a server rejected the request itself, and not its sender.
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
        other => lost(config, &format!(": {other}")),
    }
}

/// Why a server's stream is over.
pub fn ended(config: &ServerConfig, reason: &str) -> ConnectError {
    lost(config, &format!(" is gone: {reason}"))
}

fn lost(config: &ServerConfig, reason: &str) -> ConnectError {
    let text = format!("`{}`{reason}", shown(config.url.as_deref().unwrap_or_default()));
    ConnectError::failed(Fault::Lost { host: host(config) }, text)
}

/// The status with which a request was refused, if it was.
pub fn refused(error: &(dyn Error + 'static)) -> Option<u16> {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::HttpStatus(error)) => Some(error.status),
        _ => None,
    }
}

/// Explains a transport error, and what to do.
pub fn explained(config: &ServerConfig, error: &(dyn Error + 'static)) -> ConnectError {
    let url = shown(config.url.as_deref().unwrap_or_default());
    let of_status = |status| (Fault::Http { status }, of_status(config.protocol, &url, status));
    let not_mcp = || Fault::NotMcp { over_http: true };
    let (fault, text) = match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::AuthRequired(challenge)) if !has_own(config) => {
            return ConnectError::SignIn(Some(challenge.www_authenticate_header.clone()));
        }
        Some(StreamableHttpError::InsufficientScope(challenge)) if !has_own(config) => {
            return ConnectError::SignIn(Some(challenge.www_authenticate_header.clone()));
        }
        Some(StreamableHttpError::Auth(error)) if is_unknown_client(error) => return ConnectError::SignIn(None),
        Some(StreamableHttpError::Auth(AuthError::AuthorizationRequired)) => return ConnectError::SignIn(None),
        Some(StreamableHttpError::Auth(error)) => (fault_of(error), format!("`{url}`: {}", words(error))),
        Some(StreamableHttpError::AuthRequired(_)) => of_status(401),
        Some(StreamableHttpError::InsufficientScope(_)) => of_status(403),
        Some(StreamableHttpError::SessionExpired) => {
            (Fault::Http { status: 404 }, format!("`{url}` did not accept its own new session (404)"))
        }
        // No challenge: some servers name the way to sign in only at their well-known URL.
        Some(StreamableHttpError::HttpStatus(error)) if error.status == 401 && !has_own(config) => {
            return ConnectError::SignIn(None);
        }
        Some(StreamableHttpError::HttpStatus(error)) => of_status(error.status),
        Some(StreamableHttpError::UnexpectedServerResponse(text)) => {
            (not_mcp(), format!("`{url}` did not respond like an MCP server: {}", first_line(text)))
        }
        Some(StreamableHttpError::Client(error)) => of_connection(config, &url, error),
        Some(StreamableHttpError::ReinitializationFailed(error)) => {
            (rejection(error, true), format!("`{url}`: {}", first_line(&error.message)))
        }
        Some(other) => {
            let answered = matches!(
                other,
                StreamableHttpError::UnexpectedContentType(_)
                    | StreamableHttpError::Deserialize(_)
                    | StreamableHttpError::ServerDoesNotSupportSse
                    | StreamableHttpError::MissingSessionIdInResponse
            );
            let fault = if answered { not_mcp() } else { Fault::Lost { host: host(config) } };
            (fault, format!("`{url}`: {}", first_line(&chain(other))))
        }
        None => (Fault::Unclassified, format!("`{url}`: {}", first_line(&chain(error)))),
    };
    ConnectError::failed(fault, text)
}

fn of_connection(config: &ServerConfig, url: &str, error: &reqwest::Error) -> (Fault, String) {
    let address = config.url.as_deref().unwrap_or_default();
    let fault = network_fault::of_request(error, address, network_fault::proxy_of(address));
    let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let text = match error.status() {
        Some(status) => of_status(config.protocol, url, status.as_u16()),
        None if error.is_timeout() => {
            format!("`{url}` did not answer in time. Check the network, or try again later")
        }
        None if error.is_connect() => {
            format!("could not connect to `{url}`: {cause}. Check that the server runs and that `url` is right")
        }
        None => format!("the connection to `{url}` broke: {cause}"),
    };
    (fault, text)
}

fn of_status(protocol: Protocol, url: &str, status: u16) -> String {
    match status {
        401 | 403 => format!(
            "`{url}` requires authentication ({status}): set another `Authorization` in `headers`, or remove it to sign in with \
             your browser"
        ),
        404 | 405 => match protocol {
            Protocol::Sse => format!(
                "`{url}` has no legacy HTTP+SSE endpoint ({status}): correct `url`, or set `protocol` to `streamable-http`"
            ),
            Protocol::Auto => format!(
                "`{url}` has neither a streamable HTTP nor a legacy HTTP+SSE endpoint ({status}): correct `url`"
            ),
            _ => format!(
                "`{url}` has no streamable HTTP endpoint ({status}): correct `url`, or set `protocol` to `sse` for a legacy \
                 HTTP+SSE server"
            ),
        },
        300..=399 => format!("`{url}` redirects ({status}): set `url` to the new address"),
        429 => format!("`{url}` receives too many requests ({status}); retrying more slowly"),
        500..=599 => format!("`{url}` returned a server error ({status}); retrying"),
        other => format!("`{url}` refused the request ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::transport::streamable_http_client::HttpStatusError;

    use super::*;

    #[test]
    fn a_status_says_whether_a_sign_in_helps() {
        let error = |status| StreamableHttpError::<reqwest::Error>::from(HttpStatusError::new(status, None));
        let mut config = ServerConfig {
            url: Some("https://h.test/mcp".to_owned()),
            ..ServerConfig::default()
        };
        assert!(matches!(explained(&config, &error(401)), ConnectError::SignIn(None)));
        assert_eq!(explained(&config, &error(403)).failure().unwrap().fault, Fault::Http { status: 403 });
        config.headers.insert("Authorization".to_owned(), "Bearer x".to_owned());
        assert_eq!(explained(&config, &error(401)).failure().unwrap().fault, Fault::Http { status: 401 });
    }

    #[test]
    fn each_status_says_what_to_do() {
        for (protocol, status, word) in [
            (Protocol::Auto, 401, "headers"),
            (Protocol::Auto, 404, "neither"),
            (Protocol::Sse, 404, "set `protocol` to `streamable-http`"),
            (Protocol::StreamableHttp, 405, "set `protocol` to `sse`"),
            (Protocol::Sse, 308, "new address"),
            (Protocol::Http, 503, "retrying"),
        ] {
            assert!(of_status(protocol, "u", status).contains(word), "{status}");
        }
    }
}
