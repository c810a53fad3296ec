//! Our entry in an AI client's configuration: its values, and how to recognise it.

use serde_json::Value;

use crate::ai_clients::stdio_entry::Bridge;
use crate::contract::endpoint::{client_host, mcp_url};
use crate::contract::loopback::is_loopback_address;
use crate::contract::names;

/// The values a client needs to reach this proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The address that the core listens on.
    pub listen: String,
    /// The key, only if `/mcp` requires it: other programs' files should not hold it needlessly.
    pub key: Option<String>,
    /// The program that a client without URL support starts.
    pub bridge: Bridge,
    /// The profile whose servers the client is to see; `None` for the usual endpoint.
    pub profile: Option<String>,
    /// Whether the address is served with HTTPS.
    pub is_encrypted: bool,
}

impl Proxy {
    /// A proxy on `listen`. `/mcp` requires the key if configured, and on every address but loopback.
    pub fn new(listen: &str, require_mcp_auth: bool, key: Option<&str>, bridge: Bridge) -> Proxy {
        let requires_key = require_mcp_auth || !is_loopback_address(listen);
        Proxy {
            listen: listen.to_owned(),
            key: key.filter(|key| requires_key && !key.is_empty()).map(str::to_owned),
            bridge,
            profile: None,
            is_encrypted: false,
        }
    }

    /// The same, served with HTTPS or not.
    #[must_use]
    pub fn encrypted(self, is_encrypted: bool) -> Proxy {
        Proxy { is_encrypted, ..self }
    }

    /// The same, for a client that is to see the servers of a profile.
    #[must_use]
    pub fn within(self, profile: Option<String>) -> Proxy {
        Proxy { profile, ..self }
    }

    /// The URL that a client connects to.
    pub fn url(&self) -> String {
        let url = mcp_url(&self.listen, self.is_encrypted);
        match &self.profile {
            None => url,
            Some(name) => format!("{}{}/{name}", url.trim_end_matches(names::MCP_PATH), names::MCP_PROFILE_PATH),
        }
    }

    /// Whether an entry of any shape points to this proxy.
    pub fn is_target_of(&self, entry: &Value) -> bool {
        let named = match entry {
            Value::String(text) => contains_proxy_url(text, &self.listen),
            Value::Array(items) => items.iter().any(|item| self.is_target_of(item)),
            Value::Object(fields) => fields.values().any(|field| self.is_target_of(field)),
            _ => false,
        };
        named || self.bridge.is_started_by(entry)
    }
}

/// Whether text contains the URL of the proxy on `listen`, in any spelling of the host.
pub fn contains_proxy_url(text: &str, listen: &str) -> bool {
    let address = client_host(listen);
    let Some((_, port)) = address.rsplit_once(':') else { return false };
    let plain = text.replace("\\/", "/");
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        address.rsplit_once(':').map_or("", |(host, _)| host),
    ]
    .iter()
    .any(|host| {
        let url = format!("://{host}:{port}{}", names::MCP_PATH);
        plain.match_indices(&url).any(|(at, found)| {
            let after = plain.get(at + found.len()..).and_then(|rest| rest.chars().next());
            // `/mcp-other` is the path of another server.
            !after.is_some_and(|next| next.is_alphanumeric() || matches!(next, '-' | '_' | '.'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_in_any_spelling_of_loopback() {
        for text in [
            r#"{"mcpServers":{"mcpproxy":{"url":"http://127.0.0.1:8080/mcp"}}}"#,
            r#"{"url":"http:\/\/localhost:8080\/mcp"}"#,
            "[mcp_servers.mcpproxy]\nurl = \"http://localhost:8080/mcp?apikey=x\"\n",
            r#"{"args":["-y","mcp-remote","http://[::1]:8080/mcp/"]}"#,
        ] {
            assert!(contains_proxy_url(text, "127.0.0.1:8080"), "{text}");
        }
        assert!(contains_proxy_url("http://localhost:9000/mcp", ":9000"));
    }

    #[test]
    fn another_port_another_path_and_a_mere_mention_do_not_count() {
        for text in [
            "http://127.0.0.1:80801/mcp",
            "http://127.0.0.1:8081/mcp",
            "http://127.0.0.1:8080/mcp-other",
            "mcpproxy",
        ] {
            assert!(!contains_proxy_url(text, "127.0.0.1:8080"), "{text}");
        }
    }

    #[test]
    fn the_url_names_the_profile_and_the_encryption() {
        let mut proxy = Proxy::new(":8080", false, None, Bridge::sample());
        assert_eq!(proxy.url(), "http://127.0.0.1:8080/mcp");
        proxy.profile = Some("work".into());
        assert_eq!(proxy.url(), "http://127.0.0.1:8080/mcp/p/work");
        assert_eq!(proxy.encrypted(true).url(), "https://127.0.0.1:8080/mcp/p/work");
        assert!(contains_proxy_url("https://localhost:8080/mcp/p/work", ":8080"));
    }

    #[test]
    fn the_key_is_given_only_where_it_is_asked_for() {
        let key = |listen, asks, key| Proxy::new(listen, asks, key, Bridge::sample()).key;
        assert_eq!(key("127.0.0.1:8080", false, Some("k")), None);
        assert_eq!(key("localhost:8080", false, Some("k")), None);
        assert_eq!(key("[::1]:8080", false, Some("k")), None);
        assert_eq!(key("127.0.0.1:8080", true, Some("k")).as_deref(), Some("k"));
        for open in ["0.0.0.0:8080", ":8080", "[::]:8080", "192.168.1.2:8080"] {
            assert_eq!(key(open, false, Some("k")).as_deref(), Some("k"), "{open}");
        }
    }
}
