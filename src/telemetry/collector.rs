//! Where heartbeats go: an HTTPS address, or an HTTP one of this computer.

use crate::os::https::Url;

/// The address of a collector. A heartbeat is posted to `<address>/heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    heartbeat: Url,
}

impl Collector {
    /// Takes what [`Url`] takes; `None` for anything else.
    pub fn parse(endpoint: &str) -> Option<Collector> {
        let base = endpoint.trim().trim_end_matches('/');
        Url::parse(&format!("{base}/heartbeat")).map(|heartbeat| Collector { heartbeat })
    }

    /// The URL that heartbeats are posted to.
    pub fn heartbeat_url(&self) -> &Url {
        &self.heartbeat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_have_an_address_of_their_own_below_the_collectors() {
        let url = |endpoint| Collector::parse(endpoint).map(|collector| collector.heartbeat.as_str().to_owned());
        assert_eq!(url("https://c.example/v1/"), Some("https://c.example/v1/heartbeat".into()));
        assert_eq!(url("http://127.0.0.1:8000"), Some("http://127.0.0.1:8000/heartbeat".into()));
        for endpoint in ["", "http://c.example", "https://c.example?x=1"] {
            assert_eq!(url(endpoint), None, "{endpoint}");
        }
    }
}
