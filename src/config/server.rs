//! One entry of `mcpServers`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::deserialize::{null_as_default, optional_duration, text_or_none, yes};
use crate::config::isolation::{Isolation, NONE};
use crate::config::serving::Concurrency;
use crate::config::trust::Trust;

/// A server. Either `command` or `url` is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ServerConfig {
    /// Unique name without a colon. Its tools are called `name:tool`.
    pub name: String,
    /// How to talk to the server.
    #[serde(default)]
    pub protocol: Protocol,
    /// Program of a local server.
    #[serde(default)]
    pub command: Option<String>,
    /// Arguments of the program.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub args: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub env: BTreeMap<String, String>,
    /// Directory that the program starts in.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// URL of a remote server.
    #[serde(default)]
    pub url: Option<String>,
    /// Headers of every request to `url`; never shown.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub headers: BTreeMap<String, String>,
    /// Sign-in settings, if the server's own are not enough.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<OauthConfig>")]
    pub oauth: OauthConfig,
    /// `false` stops the server and keeps its configuration.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The server needs approval: it does not run, and its tools are unavailable.
    #[serde(default)]
    pub quarantined: bool,
    /// The older name of `auto_approve_tool_changes`.
    #[serde(default)]
    pub skip_quarantine: bool,
    /// New and changed tools of this server need no approval.
    #[serde(default)]
    pub auto_approve_tool_changes: Option<bool>,
    /// Who approves new and changed tools: `auto` (nobody), `scan` or `manual` (you). Outranks the two older keys.
    #[serde(default, deserialize_with = "text_or_none")]
    pub trust_mode: Option<String>,
    /// If not empty, only these tools are on.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub enabled_tools: Vec<String>,
    /// Tools that are off.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub disabled_tools: Vec<String>,
    /// Isolation of this server.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Isolation>")]
    pub isolation: Isolation,
    /// `false` hides the server's prompts from clients.
    #[serde(default)]
    pub expose_prompts: Option<bool>,
    /// Longest duration of the start, downloads included, such as `90s`. Default: 180 s for local servers, 30 s for remote ones.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub init_timeout: Option<Duration>,
    /// How many of its calls run at once. 0 means any number.
    #[serde(default)]
    pub max_concurrent_requests: Option<usize>,
    /// How many of its calls wait if that many run. The next is refused.
    #[serde(default)]
    pub queue_size: Option<usize>,
    /// Longest wait of a call, such as `30s`.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub queue_timeout: Option<Duration>,
}

/// A client that you registered at the authorization server, and what to request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct OauthConfig {
    /// Id of the registered client.
    #[serde(default, deserialize_with = "text_or_none")]
    pub client_id: Option<String>,
    /// Secret of the registered client.
    #[serde(default, deserialize_with = "text_or_none")]
    pub client_secret: Option<String>,
    /// URL on this computer, as registered.
    #[serde(default, deserialize_with = "text_or_none")]
    pub redirect_uri: Option<String>,
    /// Scopes to request.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub scopes: Vec<String>,
    /// Additional parameters of the sign-in page, such as `audience`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub extra_params: BTreeMap<String, String>,
}

/// How to talk to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    #[serde(rename = "stdio")]
    Stdio,
    #[serde(rename = "http")]
    Http,
    #[serde(rename = "sse")]
    Sse,
    #[serde(rename = "streamable-http")]
    StreamableHttp,
    /// Detects it: stdio with a `command`, HTTP with a `url`.
    #[default]
    #[serde(rename = "auto", alias = "")]
    Auto,
}

impl Protocol {
    /// The word as it stands in the file.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Stdio => "stdio",
            Protocol::Http => "http",
            Protocol::Sse => "sse",
            Protocol::StreamableHttp => "streamable-http",
            Protocol::Auto => "auto",
        }
    }
}

impl ServerConfig {
    /// Whether new and changed tools of this server do not wait for approval.
    pub fn trusts_changes(&self) -> bool {
        self.trust() == Trust::Auto
    }

    /// Who approves new and changed tools of this server.
    pub fn trust(&self) -> Trust {
        Trust::effective(self.trust_mode.as_deref(), self.auto_approve_tool_changes, self.skip_quarantine)
    }

    /// The limits of its calls, in a configuration with these defaults.
    pub fn concurrency(&self, default: &Concurrency) -> Concurrency {
        let own = Concurrency {
            max_concurrent_requests: self.max_concurrent_requests,
            queue_size: self.queue_size,
            queue_timeout: self.queue_timeout,
        };
        own.or(default)
    }

    /// The entry for the older transport, where nothing says that the server is not of that kind.
    pub fn over_sse(&self) -> Option<ServerConfig> {
        let may_be = self.protocol == Protocol::Auto && self.effective_protocol() == Protocol::StreamableHttp;
        may_be.then(|| ServerConfig {
            protocol: Protocol::Sse,
            ..self.clone()
        })
    }

    /// The protocol with `auto` decided; a server over HTTP may turn out to be of the older kind.
    pub fn effective_protocol(&self) -> Protocol {
        match self.protocol {
            Protocol::Auto if self.command.as_deref().is_some_and(|command| !command.is_empty()) => Protocol::Stdio,
            Protocol::Auto => Protocol::StreamableHttp,
            said => said,
        }
    }
}

impl ServerConfig {
    /// Why the server is not started, and what to do, where it is to run shut off.
    pub fn must_be_isolated(&self) -> Option<String> {
        let mode = self.isolation.mode.as_deref().filter(|mode| *mode != NONE)?;
        let command = self.command.as_deref().unwrap_or_default();
        // One that runs in a container of its own is not put into another.
        if self.effective_protocol() != Protocol::Stdio || command.contains("docker") {
            return None;
        }
        Some(format!(
            "it is to run shut off from this computer (`{mode}`, by `docker_isolation` or its own `isolation`), which this core cannot do: \
             set `\"isolation\": {{\"enabled\": false, \"mode\": \"none\"}}` in its entry to run it as any other program of yours"
        ))
    }
}
