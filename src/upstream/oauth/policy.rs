//! Whether a person can sign in to a server.

use rmcp::transport::auth::AuthorizationMetadata;

use crate::config::{Protocol, ServerConfig};

/// Whether the entry has its own `Authorization` header, which replaces a sign-in.
pub fn has_own(config: &ServerConfig) -> bool {
    config.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"))
}

/// Why a sign-in to this server is not possible; `None` if it is.
pub fn not_possible(config: &ServerConfig) -> Option<String> {
    let name = &config.name;
    match config.effective_protocol() {
        Protocol::Stdio => Some(format!("`{name}` is a local (stdio) server: it has no sign-in")),
        _ if !config.enabled => Some(format!("`{name}` is disabled: enable it first")),
        _ if config.quarantined => Some(format!("`{name}` needs approval: approve it first")),
        _ if has_own(config) => {
            Some(format!("`{name}` has its own `Authorization` header: remove it from `headers` first"))
        }
        _ => None,
    }
}

/// Why a sign-in must not begin: the authorization server does not announce PKCE, as the specification demands. Without it,
/// a stolen code can be used. A server without any metadata is older than that rule.
pub fn without_pkce(config: &ServerConfig, metadata: &AuthorizationMetadata, is_discovered: bool) -> Option<String> {
    let methods = metadata.code_challenge_methods_supported.as_deref().unwrap_or_default();
    let announced = methods.iter().any(|method| method == "S256");
    (is_discovered && !announced && !config.oauth.allow_missing_pkce).then(|| {
        "its authorization server does not announce PKCE (`S256`), which protects the sign-in. \
         If you trust it, set `allow_missing_pkce` to true in the server's `oauth`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_server_must_announce_pkce_unless_you_trust_it() {
        let mut config = ServerConfig::default();
        let mut metadata = AuthorizationMetadata::default();
        for (methods, refused) in [
            (None, true),
            (Some(vec![]), true),
            (Some(vec!["plain"]), true),
            (Some(vec!["S256"]), false),
        ] {
            metadata.code_challenge_methods_supported =
                methods.map(|methods| methods.into_iter().map(str::to_owned).collect());
            assert_eq!(without_pkce(&config, &metadata, true).is_some(), refused);
        }
        metadata.code_challenge_methods_supported = None;
        assert_eq!(without_pkce(&config, &metadata, false), None, "an older server has no metadata");
        config.oauth.allow_missing_pkce = true;
        assert_eq!(without_pkce(&config, &metadata, true), None);
    }
}
