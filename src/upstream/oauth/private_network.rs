//! Tells servers in a private network from those on the internet.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

/// How long the name may take to resolve.
const LIMIT: Duration = Duration::from_secs(3);

/// Whether the host of this URL is in a private network. A name that does not resolve counts as public.
pub(super) async fn has(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    // An IPv6 address stands in brackets there.
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return is_private(address);
    }
    let port = url.port_or_known_default().unwrap_or(443);
    match tokio::time::timeout(LIMIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.into_iter().all(|address| is_private(address.ip())),
        Ok(Err(_)) | Err(_) => false,
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => mapped.is_private() || mapped.is_loopback(),
            None => address.is_unique_local() || address.is_loopback(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn private_addresses() {
        for (url, expected) in [
            ("https://10.0.0.9/mcp", true),
            ("https://192.168.1.2:8443/mcp", true),
            ("https://[fd00::1]/mcp", true),
            ("https://[::ffff:10.0.0.1]/mcp", true),
            ("https://8.8.8.8/mcp", false),
            ("https://169.254.169.254/mcp", false),
            ("https://[2001:db8::1]/mcp", false),
            ("https://name.invalid/mcp", false),
            ("data:text/plain,x", false),
        ] {
            assert_eq!(has(&Url::parse(url).unwrap()).await, expected, "{url}");
        }
    }
}
