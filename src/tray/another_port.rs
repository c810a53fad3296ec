//! Finds another address for a core whose own is in use.

use serde_json::Value;

use crate::contract::names;

/// Number of ports to try above the one in use.
const TRIED: u16 = 50;

/// The address that a core would listen on: from the environment, else the configuration, else the default.
pub fn wanted(environment: Option<&str>, configuration: &[u8]) -> String {
    let configured = || {
        let configuration: Value = serde_json::from_slice(configuration).ok()?;
        Some(configuration.get("listen")?.as_str()?.trim().to_owned())
    };
    let named = environment.map(str::to_owned).or_else(configured).filter(|address| !address.is_empty());
    named.unwrap_or_else(|| names::DEFAULT_LISTEN.to_owned())
}

/// The first address above `taken`, on the same host, for which `is_free` returns true.
pub fn next_free(taken: &str, is_free: impl Fn(&str) -> bool) -> Option<String> {
    let (host, port) = taken.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let above = port.checked_add(1)?..=port.saturating_add(TRIED);
    above.map(|port| format!("{host}:{port}")).find(|address| is_free(address))
}

/// Whether a program could listen on this address now.
pub fn is_free(address: &str) -> bool {
    let address = if address.starts_with(':') { format!("127.0.0.1{address}") } else { address.to_owned() };
    std::net::TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_free_port_of_the_same_host() {
        assert_eq!(next_free("127.0.0.1:8080", |address| address.ends_with('3')).as_deref(), Some("127.0.0.1:8083"));
        assert_eq!(next_free("[::1]:8080", |_| true).as_deref(), Some("[::1]:8081"));
        assert_eq!(next_free(":8080", |_| true).as_deref(), Some(":8081"));
        assert_eq!(next_free("127.0.0.1:8080", |_| false), None);
        assert_eq!(next_free("127.0.0.1:65535", |_| true), None);
        assert_eq!(next_free("nonsense", |_| true), None);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_an_invalid_file_means_the_default() {
        assert_eq!(wanted(Some("127.0.0.1:9"), br#"{"listen":":1"}"#), "127.0.0.1:9");
        assert_eq!(wanted(None, br#"{"listen":":1"}"#), ":1");
        for garbage in [&b"\xff"[..], b"{", b"[]", br#"{"listen":7}"#, br#"{"listen":""}"#] {
            assert_eq!(wanted(None, garbage), names::DEFAULT_LISTEN);
        }
    }
}
