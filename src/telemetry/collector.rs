//! The destination of heartbeats: an HTTPS URL, or an HTTP URL on this computer.

use crate::os::https::Url;

/// The URL of a collector. Heartbeats go to `<url>/heartbeat`; `mine` and `forget` are next to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    heartbeat: Url,
    mine: Url,
    forget: Url,
}

impl Collector {
    /// Parses the endpoint with [`Url`]; `None` if the URL is not allowed.
    pub fn parse(endpoint: &str) -> Option<Collector> {
        let base = endpoint.trim().trim_end_matches('/');
        Some(Collector {
            heartbeat: Url::parse(&format!("{base}/heartbeat"))?,
            mine: Url::parse(&format!("{base}/mine"))?,
            forget: Url::parse(&format!("{base}/forget"))?,
        })
    }

    /// The URL that heartbeats are posted to.
    pub fn heartbeat_url(&self) -> &Url {
        &self.heartbeat
    }

    /// The URL that returns the data stored under an id.
    pub fn mine_url(&self) -> &Url {
        &self.mine
    }

    /// The URL that deletes the data stored under an id.
    pub fn forget_url(&self) -> &Url {
        &self.forget
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
