//! Errors of a sign-in, in words for a person.

use rmcp::transport::auth::AuthError;

use crate::upstream::transport::error_text::{causes, chain, first_line, shown};

/// The longest sentence that may have a foreign server's words in it.
const BRIEF: usize = 350;

/// Whether a renewal failed because the server does not know us any more: only a person can help.
pub fn is_unknown_client(error: &AuthError) -> bool {
    matches!(error, AuthError::TokenRefreshFailed(said)
        if said.contains("invalid_client") || said.contains("unauthorized_client"))
}

/// An error as a person reads it.
pub fn words(error: &AuthError) -> String {
    match error {
        AuthError::RegistrationFailed(said) => brief(&format!(
            "the authorization server does not register MCPProxy by itself: register it there by hand and set `client_id` in \
             the server's `oauth`, or set what the server expects in `headers` ({said})"
        )),
        AuthError::DiscoveryRequestFailed { url, source } => {
            let said = causes(source.as_ref()).last().map(ToString::to_string).unwrap_or_default();
            brief(&format!("`{}` cannot be asked how to sign in ({said})", shown(url.as_str())))
        }
        AuthError::TokenRefreshFailed(said) => brief(&format!("the sign-in could not be renewed: {said}")),
        AuthError::TokenExchangeFailed(said) => brief(&format!("the authorization server gave no token: {said}")),
        other => brief(&chain(other)),
    }
}

/// A text that may be a foreign server's, on one line and not too long.
pub fn brief(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => first_line(&line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_stay_short_and_on_one_line() {
        let said = words(&AuthError::TokenExchangeFailed(format!("one\ntwo\u{1b}[31m{}", "x".repeat(1000))));
        assert!(said.contains("one two [31m") && said.ends_with('…') && said.chars().count() < 400, "{said}");
    }

    #[test]
    fn a_client_that_was_forgotten_needs_a_person() {
        let said = |said: &str| AuthError::TokenRefreshFailed(said.to_owned());
        assert!(is_unknown_client(&said("Server returned error response: invalid_client")));
        assert!(!is_unknown_client(&said("Request failed")));
    }
}
