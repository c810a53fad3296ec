//! Where the sign-in to one server stands.

use reqwest::Url;

use crate::telemetry::payload::OauthProvider;

/// What is known of signing in to a server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignIn {
    /// Somebody is signed in, at a provider of this kind.
    pub provider: Option<OauthProvider>,
    /// Where a person is to go; as long as their return is waited for.
    pub address: Option<String>,
    /// Why nothing came of the last attempt.
    pub failed: Option<String>,
}

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
    fn a_provider_is_told_by_its_host() {
        assert_eq!(provider("https://accounts.google.com"), OauthProvider::Google);
        assert_eq!(provider("https://github.com/login/oauth"), OauthProvider::Github);
        assert_eq!(provider("https://login.microsoftonline.com/x/v2.0"), OauthProvider::Microsoft);
        assert_eq!(provider("https://notgithub.com"), OauthProvider::Generic);
        assert_eq!(provider("?"), OauthProvider::Generic);
    }
}
