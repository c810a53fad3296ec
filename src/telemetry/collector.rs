//! Where heartbeats go: an HTTPS address, or an HTTP one of this computer.

use std::fmt;
use std::net::IpAddr;

/// The address of a collector. A heartbeat is posted to `<address>/heartbeat`.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector {
    heartbeat: String,
}

impl Collector {
    /// Takes `https://…`, or `http://…` on this computer; `None` for anything else: what is sent may be read on the way,
    /// and credentials in an address end in logs.
    pub fn parse(endpoint: &str) -> Option<Collector> {
        let uri: hyper::Uri = endpoint.trim().parse().ok()?;
        let authority = uri.authority()?;
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => on_this_computer(authority.host()),
            _ => false,
        };
        let plain = !authority.as_str().contains('@') && uri.query().is_none();
        let base = endpoint.trim().trim_end_matches('/');
        (secure && plain).then(|| Collector {
            heartbeat: format!("{base}/heartbeat"),
        })
    }

    /// Whether it is reached by HTTPS; else it is on this computer.
    pub fn is_secure(&self) -> bool {
        self.heartbeat.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// The URL that heartbeats are posted to.
    pub fn heartbeat_url(&self) -> &str {
        &self.heartbeat
    }
}

fn on_this_computer(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.heartbeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_at_home() {
        let url = |endpoint| Collector::parse(endpoint).map(|collector| collector.heartbeat);
        assert_eq!(url("https://c.example/v1/"), Some("https://c.example/v1/heartbeat".into()));
        assert_eq!(url("http://127.0.0.1:8000"), Some("http://127.0.0.1:8000/heartbeat".into()));
        assert!(url("http://[::1]:8000/v1").is_some() && url("http://localhost").is_some());
        for endpoint in [
            "",
            "c.example",
            "http://c.example",
            "http://127.0.0.1.c.example",
            "https://u:p@c.example",
            "https://c.example?x=1",
            "file:///etc",
            "http://localhost@c.example",
        ] {
            assert_eq!(url(endpoint), None, "{endpoint}");
        }
    }
}
