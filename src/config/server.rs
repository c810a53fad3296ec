//! One entry of `mcpServers`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::deserialize::{null_as_default, optional_duration, text_or_none, yes};
use crate::config::isolation::{Isolation, NONE};

/// One entry of `mcpServers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ServerConfig {
    /// Unique, without a colon: tools are called `server:tool`.
    pub name: String,
    #[serde(default)]
    pub protocol: Protocol,
    #[serde(default)]
    pub command: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub args: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    #[serde(default)]
    pub url: Option<String>,
    /// Sent with every request to `url`; never shown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub headers: BTreeMap<String, String>,
    /// How to sign in to `url`, where it does not say so itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub oauth: OauthConfig,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its tools are neither shown nor called until a person approves the server.
    #[serde(default)]
    pub quarantined: bool,
    /// New and changed tools do not wait: the older word.
    #[serde(default)]
    pub skip_quarantine: bool,
    /// The newer word for the same; `true` for every server when `quarantine_enabled` is off.
    #[serde(default)]
    pub auto_approve_tool_changes: Option<bool>,
    /// Only these of its tools are on, if there are any here.
    #[serde(default, deserialize_with = "null_as_default")]
    pub enabled_tools: Vec<String>,
    /// These of its tools are off.
    #[serde(default, deserialize_with = "null_as_default")]
    pub disabled_tools: Vec<String>,
    /// Whether it is to run shut off, `docker_isolation` taken into account.
    #[serde(default, deserialize_with = "null_as_default")]
    pub isolation: Isolation,
    /// Whether clients are shown its prompts.
    #[serde(default)]
    pub expose_prompts: Option<bool>,
    /// How long it may take to start, downloads included.
    #[serde(default, deserialize_with = "optional_duration")]
    pub init_timeout: Option<Duration>,
}

/// `oauth` of a server: a client that was registered by hand, and what to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct OauthConfig {
    #[serde(default, deserialize_with = "text_or_none")]
    pub client_id: Option<String>,
    #[serde(default, deserialize_with = "text_or_none")]
    pub client_secret: Option<String>,
    /// An address of this computer, as the client was registered with it.
    #[serde(default, deserialize_with = "text_or_none")]
    pub redirect_uri: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub scopes: Vec<String>,
    /// What is said to the sign-in page beside what the protocol says, such as an `audience`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extra_params: BTreeMap<String, String>,
}

/// How an upstream server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    #[serde(rename = "stdio")]
    Stdio,
    #[serde(rename = "http")]
    Http,
    #[serde(rename = "sse")]
    Sse,
    #[serde(rename = "streamable-http")]
    StreamableHttp,
    /// By what is there: a command means stdio, an address HTTP.
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
        self.auto_approve_tool_changes.unwrap_or(self.skip_quarantine)
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
