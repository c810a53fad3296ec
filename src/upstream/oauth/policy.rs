//! Whether a person can sign in to a server.

use crate::config::{Protocol, ServerConfig};

/// Whether a person's own `Authorization` goes along: there is nothing to sign in to then.
pub fn has_own(config: &ServerConfig) -> bool {
    config.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"))
}

/// Why nobody can sign in to a server, if so.
pub fn not_possible(config: &ServerConfig) -> Option<String> {
    let name = &config.name;
    match config.effective_protocol() {
        Protocol::Stdio => Some(format!("`{name}` is started here: there is nothing to sign in to")),
        _ if !config.enabled => Some(format!("`{name}` is disabled: enable it first")),
        _ if config.quarantined => Some(format!("`{name}` waits for approval: approve it first")),
        _ if has_own(config) => {
            Some(format!("`{name}` gets an `Authorization` of your own: remove it from `headers` first"))
        }
        _ => None,
    }
}
