//! Where the sign-in to one server stands.

use reqwest::Url;

use crate::diagnostics::fault::Failure;
use crate::telemetry::payload::OauthProvider;

/// The sign-in to a server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignIn {
    /// Signed in, with a provider of this kind.
    pub provider: Option<OauthProvider>,
    /// The URL to open in a browser, while a sign-in is pending.
    pub address: Option<String>,
    /// Why the last attempt failed.
    pub failed: Option<Failure>,
    /// The server no longer accepts a token that it accepted before.
    pub expired: bool,
}

/// The kind of provider that has issued a token.
pub fn provider(issuer: &str) -> OauthProvider {
    let url = Url::parse(issuer).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let is_of = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.'));
    match () {
        () if is_of("google.com") => OauthProvider::Google,
        () if is_of("github.com") => OauthProvider::Github,
        () if is_of("microsoftonline.com") || is_of("microsoft.com") => OauthProvider::Microsoft,
        () => OauthProvider::Generic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_recognized_by_its_host() {
        assert_eq!(provider("https://accounts.google.com"), OauthProvider::Google);
        assert_eq!(provider("https://github.com/login/oauth"), OauthProvider::Github);
        assert_eq!(provider("https://login.microsoftonline.com/x/v2.0"), OauthProvider::Microsoft);
        assert_eq!(provider("https://notgithub.com"), OauthProvider::Generic);
        assert_eq!(provider("?"), OauthProvider::Generic);
    }
}
