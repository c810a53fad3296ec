//! Whether a person can sign in to a server.

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
