//! Errors of a sign-in, as text for a person.

use rmcp::transport::auth::AuthError;

use crate::diagnostics::fault::{Failure, Fault};
use crate::upstream::transport::error_text::{causes, chain, first_line, shown};

/// The longest text that may quote a foreign server.
const LONGEST: usize = 350;

/// Whether a renewal failed because the server has forgotten this client: only a new sign-in helps.
pub fn is_unknown_client(error: &AuthError) -> bool {
    matches!(error, AuthError::TokenRefreshFailed(text)
        if text.contains("invalid_client") || text.contains("unauthorized_client"))
}

/// The kind of an error.
pub fn fault_of(error: &AuthError) -> Fault {
    match error {
        AuthError::AuthorizationRequired => Fault::LoginRequired,
        error if is_unknown_client(error) => Fault::ReauthRequired,
        AuthError::TokenRefreshRejected(_) => Fault::RefreshRefused,
        AuthError::TokenExpired => Fault::RefreshExpired,
        AuthError::RegistrationFailed(_) => Fault::RegistrationRefused,
        AuthError::DiscoveryRequestFailed { .. }
        | AuthError::MetadataError(_)
        | AuthError::ProtectedResourceMetadataInvalid { .. }
        | AuthError::AuthorizationServersUnavailable { .. }
        | AuthError::NoAuthorizationSupport => Fault::DiscoveryFailed,
        _ => Fault::SignInFailed,
    }
}

/// An error with its kind.
pub fn failure(error: &AuthError) -> Failure {
    Failure::new(fault_of(error), words(error))
}

/// An error as text for a person.
pub fn words(error: &AuthError) -> String {
    match error {
        AuthError::RegistrationFailed(text) => brief(&format!(
            "the authorization server did not register MCPProxy: register it there by hand and set `client_id` in the server's \
             `oauth`, or set an `Authorization` header ({text})"
        )),
        AuthError::DiscoveryRequestFailed { url, source } => {
            let cause = causes(source.as_ref()).last().map(ToString::to_string).unwrap_or_default();
            brief(&format!("could not ask `{}` how to sign in: {cause}", shown(url.as_str())))
        }
        AuthError::TokenRefreshFailed(text) => brief(&format!("could not renew the sign-in: {text}")),
        AuthError::TokenExchangeFailed(text) => brief(&format!("the authorization server issued no token: {text}")),
        other => brief(&chain(other)),
    }
}

/// Text of a foreign server on one line, cut if it is long.
pub fn brief(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => first_line(&line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_short_and_on_one_line() {
        let text = words(&AuthError::TokenExchangeFailed(format!("one\ntwo\u{1b}[31m{}", "x".repeat(1000))));
        assert!(text.contains("one two [31m") && text.ends_with('…') && text.chars().count() < 400, "{text}");
    }

    #[test]
    fn a_forgotten_client_needs_a_new_sign_in() {
        let failed = |text: &str| AuthError::TokenRefreshFailed(text.to_owned());
        assert!(is_unknown_client(&failed("Server returned error response: invalid_client")));
        assert!(!is_unknown_client(&failed("Request failed")));
    }
}
