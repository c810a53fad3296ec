//! Where a core may be found, in the order in which it is looked for.

use crate::contract::endpoint::{Endpoint, LocalAddress, client_host};
use crate::contract::platform::Platform;

/// What is known of where a core may listen.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// Value of `MCPPROXY_TRAY_ENDPOINT`, when it is an `http://` address: then nothing else is tried.
    pub endpoint_url: Option<&'a str>,
    /// The TCP address of the environment or the configuration.
    pub listen: Option<&'a str>,
    /// The API key of the environment or the configuration: without one TCP is not tried.
    pub key: Option<&'a str>,
}

/// The endpoints to try, best first: the local stream, which needs no key, before TCP.
pub fn endpoints(platform: Platform, local: LocalAddress, known: &Known<'_>) -> Vec<Endpoint> {
    let key = known.key.map(str::trim).filter(|key| !key.is_empty());
    let tcp = |address: &str| {
        key.map(|key| Endpoint::Tcp {
            address: client_host(address),
            key: key.to_owned(),
        })
    };
    if let Some(address) = known.endpoint_url.and_then(|url| url.trim().strip_prefix("http://")) {
        return tcp(address.trim_end_matches('/')).into_iter().collect();
    }
    let mut endpoints = Vec::new();
    if local.fits(platform) {
        endpoints.push(Endpoint::Local(local));
    }
    endpoints.extend(known.listen.and_then(tcp));
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(known: &Known<'_>, path: &str) -> Vec<String> {
        let found = endpoints(Platform::Linux, LocalAddress::Unix(path.into()), known);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_local_stream_comes_first_and_tcp_needs_a_key() {
        let listen = Some("0.0.0.0:8080");
        let with_key = Known {
            listen,
            key: Some("k"),
            ..Known::default()
        };
        assert_eq!(shown(&with_key, "/x.sock"), ["/x.sock", "http://127.0.0.1:8080"]);
        assert_eq!(
            shown(
                &Known {
                    listen,
                    ..Known::default()
                },
                "/x.sock"
            ),
            ["/x.sock"]
        );
    }

    #[test]
    fn a_socket_that_cannot_be_is_not_tried() {
        let long = format!("/{}.sock", "x".repeat(200));
        assert!(shown(&Known::default(), &long).is_empty());
    }

    #[test]
    fn a_named_http_endpoint_is_the_only_one() {
        let known = Known {
            endpoint_url: Some("http://127.0.0.1:9/"),
            listen: Some(":1"),
            key: Some("k"),
        };
        assert_eq!(shown(&known, "/x.sock"), ["http://127.0.0.1:9"]);
    }
}
