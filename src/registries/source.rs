//! The registries to search.

use serde_json::{Value, json};

use crate::config::Config;
use crate::config::registries::RegistryConfig;
use crate::contract::registry::Registry;
use crate::contract::words::RegistryProvenance;
use crate::os::https::Url;

/// The only protocol.
const PROTOCOL: &str = "modelcontextprotocol/registry";
/// The path of the list below a base URL.
const PATH: &str = "v0.1/servers";

/// The name for all registries together.
pub(crate) const ALL: &str = "all";
/// ID of the official registry.
const OFFICIAL: &str = "official";
const OFFICIAL_URL: &str = "https://registry.modelcontextprotocol.io/";

/// A registry, and the URL of its list if it can be searched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    pub(crate) registry: Registry,
    pub(crate) servers: Option<Url>,
}

/// The registries of a configuration: those of `registries`, otherwise the official one.
pub(crate) fn sources(config: &Config) -> Vec<Source> {
    match &config.registries {
        None => vec![source(&official())],
        Some(registries) => registries.iter().map(source).collect(),
    }
}

/// The entries that apply while `registries` is absent, to write them before another is added.
pub fn defaults() -> Vec<Value> {
    vec![
        json!({"id": OFFICIAL, "name": "Official MCP Registry", "url": OFFICIAL_URL, "protocol": PROTOCOL,
        "servers_url": format!("{OFFICIAL_URL}{PATH}")}),
    ]
}

/// Checks a registry that the user adds, and returns its entry.
///
/// # Errors
/// The name or the URL is not valid; the message tells the user what is allowed.
pub fn check_source(id: &str, name: Option<&str>, url: &str) -> Result<Value, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=64).contains(&id.len()) || !id.chars().all(fits) || id == ALL {
        return Err(format!("invalid registry name `{id}`: use 1-64 letters, digits, `-`, `_` or `.`, and not `all`"));
    }
    let base = base_of(url);
    if Url::parse(&base).is_none() {
        return Err(format!("could not use `{url}`: a registry needs an https:// URL without a query"));
    }
    Ok(json!({"id": id, "name": name.unwrap_or(id), "url": base, "protocol": PROTOCOL}))
}

/// An ID for a registry: the host of its URL.
pub fn id_of_url(url: &str) -> String {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_default()
}

/// The base URL, if the user gave the URL of the list.
fn base_of(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    url.strip_suffix("/v0.1/servers").or_else(|| url.strip_suffix("/v0/servers")).unwrap_or(url).to_owned() + "/"
}

fn official() -> RegistryConfig {
    RegistryConfig {
        id: Some(OFFICIAL.to_owned()),
        name: Some("Official MCP Registry".to_owned()),
        url: Some(OFFICIAL_URL.to_owned()),
        ..RegistryConfig::default()
    }
}

fn source(config: &RegistryConfig) -> Source {
    let url = config.url.clone().unwrap_or_default();
    let list = config.servers_url.clone().unwrap_or_else(|| format!("{}{PATH}", base_of(&url)));
    let protocol = config.protocol.clone().unwrap_or_else(|| PROTOCOL.to_owned());
    let servers = Url::parse(list.trim_end_matches('/'));
    let unsupported = match (&servers, protocol == PROTOCOL) {
        (_, false) => Some(format!("MCPProxy does not support its protocol `{protocol}`")),
        (None, true) => Some("its URL must start with https:// and have no query".to_owned()),
        (Some(_), true) => None,
    };
    let id = config.id.clone().unwrap_or_else(|| id_of_url(&url));
    Source {
        servers: servers.filter(|_| unsupported.is_none()),
        registry: Registry {
            name: config.name.clone().unwrap_or_else(|| id.clone()),
            description: config.description.clone().unwrap_or_default(),
            provenance: match list.starts_with(OFFICIAL_URL) {
                true => RegistryProvenance::Official,
                false => RegistryProvenance::Custom,
            },
            id,
            url,
            servers_url: list,
            protocol,
            unsupported,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(text: &str) -> Vec<Source> {
        sources(&Config::parse(Path::new("c"), text).unwrap())
    }

    #[test]
    fn the_official_registry_is_the_default_and_can_be_replaced() {
        let usual = of("{}");
        assert_eq!(usual.len(), 1);
        assert_eq!(
            usual[0].servers.as_ref().unwrap().as_str(),
            "https://registry.modelcontextprotocol.io/v0.1/servers"
        );
        assert_eq!(usual[0].registry.provenance, "official");
        assert_eq!(of(&json!({"registries": defaults()}).to_string()), {
            let mut same = usual.clone();
            same[0].registry.servers_url = "https://registry.modelcontextprotocol.io/v0.1/servers".into();
            same
        });
        assert!(of(r#"{"registries": []}"#).is_empty());
        assert_eq!(of(r#"{"registries": null}"#), usual);
    }

    #[test]
    fn a_registry_of_another_protocol_or_without_https_is_listed_and_not_searched() {
        let found = of(
            r#"{"registries": [{"id": "r", "url": "https://g/", "servers_url": "builtin://reference", "protocol": "builtin/reference"},
                {"id": "h", "url": "http://h.example/"}, {"id": "l", "url": "http://127.0.0.1:9/v0.1/servers"}]}"#,
        );
        assert!(found[0].registry.unsupported.as_ref().unwrap().contains("builtin/reference"));
        assert!(found[1].servers.is_none() && found[1].registry.unsupported.is_some());
        assert_eq!(found[2].servers.as_ref().unwrap().as_str(), "http://127.0.0.1:9/v0.1/servers");
    }

    #[test]
    fn a_registry_to_add_is_checked() {
        assert_eq!(check_source("a", None, "https://h/x/v0.1/servers").unwrap()["url"], "https://h/x/");
        for (id, url) in [
            ("", "https://h/"),
            ("a b", "https://h/"),
            ("all", "https://h/"),
            ("a", "http://h/"),
            ("a", "https://u@h/"),
            ("a", "https://h/?x=1"),
            ("a", "h"),
        ] {
            assert!(check_source(id, None, url).is_err(), "{id} {url}");
        }
        assert_eq!(id_of_url("https://mcp.example.com/x"), "mcp.example.com");
    }
}
