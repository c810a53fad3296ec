//! How clients are served: which tools they see, over what, and how many calls run at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::config::deserialize::{null_as_default, optional_duration};

/// `routing_mode`: what `/mcp` offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoutingMode {
    /// A search, and tools that call what it finds.
    #[default]
    RetrieveTools,
    /// The servers' tools themselves, as at `/mcp/all`.
    Direct,
    /// The Go core's; served as `RetrieveTools`, because code execution does not exist here.
    CodeExecution,
}

impl RoutingMode {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            RoutingMode::RetrieveTools => "retrieve_tools",
            RoutingMode::Direct => "direct",
            RoutingMode::CodeExecution => "code_execution",
        }
    }

    /// Why clients see something else than the setting says.
    pub fn warning(self) -> Option<&'static str> {
        (self == RoutingMode::CodeExecution).then_some(
            "`routing_mode` is `code_execution`, which does not exist here: clients get the search tools \
             (`retrieve_tools`) instead",
        )
    }
}

impl<'de> Deserialize<'de> for RoutingMode {
    /// The Go core takes a mode that it does not know for the default, and so does this one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RoutingMode, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        Ok(match text.as_deref() {
            Some("direct") => RoutingMode::Direct,
            Some("code_execution") => RoutingMode::CodeExecution,
            _ => RoutingMode::RetrieveTools,
        })
    }
}

/// `tls`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TlsConfig {
    /// Serves HTTPS instead of HTTP on the address above. Linux only: elsewhere, the core does not start with it.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "HTTPS")]
    pub enabled: bool,
    /// Accepts only clients with a certificate of the same authority. Not supported: the core does not start with it.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Client certificates")]
    pub require_client_cert: bool,
    /// Folder with the certificates and keys, instead of the one in the data directory.
    #[serde(default)]
    #[schemars(title = "Folder of certificates")]
    pub certs_dir: Option<PathBuf>,
}

impl TlsConfig {
    /// Where certificates and keys are kept, in an instance with this root.
    pub fn directory(&self, root: &Path) -> PathBuf {
        let chosen = self.certs_dir.clone().filter(|directory| !directory.as_os_str().is_empty());
        chosen.unwrap_or_else(|| root.join("certs"))
    }
}

/// `max_concurrent_requests`, `queue_size` and `queue_timeout`: at the top, in `server_concurrency_defaults` or in an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Concurrency {
    /// How many calls of a server run at once if its entry has no limit. 0 means any number.
    #[serde(default)]
    #[schemars(title = "Calls of one server at once")]
    pub max_concurrent_requests: Option<usize>,
    /// How many calls of a server wait if that many run. The next is refused.
    #[serde(default)]
    #[schemars(title = "Waiting calls of one server")]
    pub queue_size: Option<usize>,
    /// Longest wait of a call for a server, such as `30s`; then it is refused.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>", title = "Longest wait for one server")]
    pub queue_timeout: Option<Duration>,
}

/// How long a call waits where no setting says so.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

impl Concurrency {
    /// Each setting, or else the default's.
    pub fn or(&self, default: &Concurrency) -> Concurrency {
        Concurrency {
            max_concurrent_requests: self.max_concurrent_requests.or(default.max_concurrent_requests),
            queue_size: self.queue_size.or(default.queue_size),
            queue_timeout: self.queue_timeout.or(default.queue_timeout),
        }
    }

    /// How many calls run, how many wait, and for how long; `None` without a limit.
    pub fn limits(&self) -> Option<(usize, usize, Duration)> {
        let running = self.max_concurrent_requests.filter(|running| *running > 0)?;
        let timeout = self.queue_timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(USUAL_TIMEOUT);
        Some((running, self.queue_size.unwrap_or(0), timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routing_mode_that_is_not_known_is_the_default() {
        let of = |text: &str| serde_json::from_str::<RoutingMode>(text).unwrap();
        assert_eq!(of(r#""direct""#), RoutingMode::Direct);
        assert_eq!(of(r#""code_execution""#), RoutingMode::CodeExecution);
        for text in [r#""""#, "null", r#""Direct""#, r#""new""#] {
            assert_eq!(of(text), RoutingMode::RetrieveTools, "{text}");
        }
    }

    #[test]
    fn an_entry_overrides_the_defaults_setting_by_setting_and_nought_is_no_limit() {
        let of = |text: &str| serde_json::from_str::<Concurrency>(text).unwrap();
        let default = of(r#"{"max_concurrent_requests":4,"queue_size":16,"queue_timeout":"5s"}"#);
        let seconds = Duration::from_secs;
        assert_eq!(of("{}").or(&default).limits(), Some((4, 16, seconds(5))));
        assert_eq!(of(r#"{"max_concurrent_requests":1}"#).or(&default).limits(), Some((1, 16, seconds(5))));
        assert_eq!(of(r#"{"max_concurrent_requests":0}"#).or(&default).limits(), None);
        assert_eq!(of(r#"{"max_concurrent_requests":2}"#).limits(), Some((2, 0, seconds(30))));
        assert_eq!(of("{}").limits(), None);
    }
}
