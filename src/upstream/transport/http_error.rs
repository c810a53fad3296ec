//! What went wrong with a server over HTTP, and what to do.

use std::error::Error;

use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::auth::AuthError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::config::{Protocol, ServerConfig};
use crate::upstream::connect_error::ConnectError;
use crate::upstream::oauth::error_text::{is_unknown_client, words};
use crate::upstream::oauth::policy::has_own;
use crate::upstream::transport::error_text::{causes, chain, first_line, shown};

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

#[cfg(test)]
mod tests {
    use super::*;

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
