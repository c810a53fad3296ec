//! Decides whether to serve the TCP address with HTTPS. If HTTPS is configured but not possible, nothing is served.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::serving::TlsConfig;
use crate::contract::flag::is_true;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::Environment;

/// Returns the TLS settings. The environment overrides the configuration, as in the Go core.
pub fn wanted(config: &Config, environment: &Environment) -> TlsConfig {
    let switch = |name: &str| environment.non_empty(name).map(is_true);
    TlsConfig {
        enabled: switch(names::ENV_TLS_ENABLED).unwrap_or(config.tls.enabled),
        require_client_cert: switch(names::ENV_TLS_REQUIRE_CLIENT_CERT).unwrap_or(config.tls.require_client_cert),
        certs_dir: environment
            .non_empty(names::ENV_CERTS_DIR)
            .map(PathBuf::from)
            .or_else(|| config.tls.certs_dir.clone()),
    }
}

/// Why the core does not start with these settings on this system, and what to do; `None` if nothing is known that
/// prevents it.
pub fn refusal(tls: &TlsConfig) -> Option<(String, String)> {
    decide(tls, Platform::HOST).err()
}

/// Whether to serve HTTPS on a system. Plain HTTP is never the answer to a request for HTTPS.
///
/// # Errors
/// HTTPS is configured but not possible. The error says why and what to do.
fn decide(tls: &TlsConfig, platform: Platform) -> Result<bool, (String, String)> {
    if !tls.enabled {
        return Ok(false);
    }
    if tls.require_client_cert {
        let sentence =
            "could not serve HTTPS: `tls.require_client_cert` is set, but MCPProxy cannot check client certificates";
        let help =
            "set `tls.require_client_cert` to false, and `require_mcp_auth` to true to ask for the API key instead";
        return Err((sentence.to_owned(), help.to_owned()));
    }
    if !platform.has_https() {
        let sentence =
            "could not serve HTTPS: `tls.enabled` is set, but MCPProxy does not support HTTPS on this system";
        let help = "set `tls.enabled` to false: only programs on this computer reach a loopback address";
        return Err((sentence.to_owned(), help.to_owned()));
    }
    Ok(true)
}

/// Returns the certificate for HTTPS; `None` for plain HTTP.
///
/// # Errors
/// HTTPS is configured but not possible. The error says why and what to do.
#[cfg(target_os = "linux")]
pub fn certificate(
    tls: &TlsConfig,
    root: &Path,
    now: i64,
) -> Result<Option<std::sync::Arc<crate::server::tls::Certificate>>, (String, String)> {
    if !decide(tls, Platform::HOST)? {
        return Ok(None);
    }
    let loaded = crate::server::tls::Certificate::load(&tls.directory(root), now);
    loaded.map(Some).map_err(|error| {
        let help = "repair or remove that file, or set `tls.enabled` to false to serve without encryption".to_owned();
        (format!("could not serve HTTPS: {error}"), help)
    })
}

/// Returns `None`: this build does not support HTTPS.
///
/// # Errors
/// HTTPS is configured.
#[cfg(not(target_os = "linux"))]
pub fn certificate(
    tls: &TlsConfig,
    _root: &Path,
    _now: i64,
) -> Result<Option<std::convert::Infallible>, (String, String)> {
    decide(tls, Platform::HOST).map(|_| None)
}

/// Returns the path of the certificate authority's certificate. Creates it if it is missing.
///
/// # Errors
/// A message for the user.
#[cfg(target_os = "linux")]
pub fn authority(tls: &TlsConfig, root: &Path, now: i64) -> Result<PathBuf, String> {
    crate::server::tls::certificates::authority(&tls.directory(root), now).map_err(|error| error.to_string())
}

/// Fails: this build does not support HTTPS.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn authority(_tls: &TlsConfig, _root: &Path, _now: i64) -> Result<PathBuf, String> {
    Err("MCPProxy does not support HTTPS on this system, so there is no certificate".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str, environment: &[(&str, &str)]) -> TlsConfig {
        let config = Config::parse(Path::new("/c.json"), text).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        wanted(&config, &environment)
    }

    #[test]
    fn the_environment_decides_before_the_file() {
        assert!(!tls("{}", &[]).enabled && tls(r#"{"tls":{"enabled":true}}"#, &[]).enabled);
        assert!(tls(r#"{"tls":null}"#, &[(names::ENV_TLS_ENABLED, "true")]).enabled);
        assert!(!tls(r#"{"tls":{"enabled":true}}"#, &[(names::ENV_TLS_ENABLED, "false")]).enabled);
        let elsewhere = tls(r#"{"tls":{"certs_dir":"/a"}}"#, &[(names::ENV_CERTS_DIR, "/b")]);
        assert_eq!(elsewhere.directory(Path::new("/root")), Path::new("/b"));
        assert_eq!(tls(r#"{"tls":{"certs_dir":""}}"#, &[]).directory(Path::new("/r")), Path::new("/r/certs"));
    }

    #[test]
    fn a_request_for_https_never_results_in_plain_http() {
        let asked = tls(r#"{"tls":{"enabled":true}}"#, &[]);
        assert_eq!(decide(&asked, Platform::Linux), Ok(true));
        for platform in [Platform::Windows, Platform::MacOs, Platform::Other] {
            let (sentence, help) = decide(&asked, platform).unwrap_err();
            assert!(sentence.contains("`tls.enabled` is set") && help.contains("set `tls.enabled` to false"));
            assert_eq!(decide(&tls("{}", &[]), platform), Ok(false));
        }
    }

    #[test]
    fn nothing_is_served_if_the_requested_encryption_is_not_possible() {
        let directory = tempfile::tempdir().unwrap();
        let asked = tls(r#"{"tls":{"enabled":true,"require_client_cert":true}}"#, &[]);
        let (sentence, help) = certificate(&asked, directory.path(), 0).err().unwrap();
        assert!(sentence.contains("require_client_cert") && help.contains("require_mcp_auth"));
        let plain = tls(r#"{"tls":{"enabled":false,"require_client_cert":true}}"#, &[]);
        assert!(certificate(&plain, directory.path(), 0).unwrap().is_none());
        std::fs::create_dir(directory.path().join("certs")).unwrap();
        std::fs::write(directory.path().join("certs/localhost.pem"), "no").unwrap();
        assert!(certificate(&tls(r#"{"tls":{"enabled":true}}"#, &[]), directory.path(), 0).is_err());
    }
}
