//! Recognises loopback hosts.

use std::net::IpAddr;

/// Whether the host of a URL is a loopback host: `localhost`, or a loopback address with or without brackets.
pub fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether only this computer can reach `host:port`.
pub fn is_loopback_address(address: &str) -> bool {
    is_loopback_host(address.rsplit_once(':').map_or(address, |(host, _)| host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_computer_is_loopback() {
        for own in ["localhost", "LocalHost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"] {
            assert!(is_loopback_host(own), "{own}");
        }
        for other in [
            "",
            "0.0.0.0",
            "[::]",
            "localhost.example",
            "127.0.0.1.example",
            "192.168.1.2",
        ] {
            assert!(!is_loopback_host(other), "{other}");
        }
        assert!(is_loopback_address("[::1]:8080") && is_loopback_address("localhost:1"));
        assert!(!is_loopback_address(":8080") && !is_loopback_address("0.0.0.0:8080"));
    }
}
