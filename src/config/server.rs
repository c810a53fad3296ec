//! One entry of `mcpServers`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::deserialize::{null_as_default, optional_duration, string_or_none, yes};
use crate::config::isolation::{Isolation, NONE};

/// One entry of `mcpServers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ServerConfig {
    /// Unique and without a colon, because tools are named `server:tool`.
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
    /// HTTP headers sent with every request to `url`. Their values are never shown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub headers: BTreeMap<String, String>,
    /// OAuth settings that the server does not announce itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub oauth: OauthConfig,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The server needs approval: it does not run until the user approves it.
    #[serde(default)]
    pub quarantined: bool,
    /// Former name of `auto_approve_tool_changes`.
    #[serde(default)]
    pub skip_quarantine: bool,
    /// New and changed tools need no approval. `true` for every server if `quarantine_enabled` is off.
    #[serde(default)]
    pub auto_approve_tool_changes: Option<bool>,
    /// If not empty, only these tools are on.
    #[serde(default, deserialize_with = "null_as_default")]
    pub enabled_tools: Vec<String>,
    /// These tools are off.
    #[serde(default, deserialize_with = "null_as_default")]
    pub disabled_tools: Vec<String>,
    /// Isolation of this server, with `docker_isolation` taken into account.
    #[serde(default, deserialize_with = "null_as_default")]
    pub isolation: Isolation,
    /// Whether clients see its prompts.
    #[serde(default)]
    pub expose_prompts: Option<bool>,
    /// Maximum duration of the start, including downloads.
    #[serde(default, deserialize_with = "optional_duration")]
    pub init_timeout: Option<Duration>,
}

/// `oauth` of a server: a manually registered OAuth client and the scopes to request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct OauthConfig {
    #[serde(default, deserialize_with = "string_or_none")]
    pub client_id: Option<String>,
    #[serde(default, deserialize_with = "string_or_none")]
    pub client_secret: Option<String>,
    /// The loopback redirect URI that the client was registered with.
    #[serde(default, deserialize_with = "string_or_none")]
    pub redirect_uri: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub scopes: Vec<String>,
    /// Extra parameters of the authorization request, such as `audience`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extra_params: BTreeMap<String, String>,
}

/// The transport of an upstream server.
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
    /// Detected: a command means stdio, a URL means HTTP.
    #[default]
    #[serde(rename = "auto", alias = "")]
    Auto,
}

impl Protocol {
    /// The name in the file.
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
    /// Whether new and changed tools of this server need no approval.
    pub fn trusts_changes(&self) -> bool {
        self.auto_approve_tool_changes.unwrap_or(self.skip_quarantine)
    }

    /// The entry with the legacy SSE transport, if the protocol is to be detected.
    pub fn over_sse(&self) -> Option<ServerConfig> {
        let detects = self.protocol == Protocol::Auto && self.effective_protocol() == Protocol::StreamableHttp;
        detects.then(|| ServerConfig {
            protocol: Protocol::Sse,
            ..self.clone()
        })
    }

    /// The protocol with `auto` resolved. An HTTP server may still turn out to use legacy SSE.
    pub fn effective_protocol(&self) -> Protocol {
        match self.protocol {
            Protocol::Auto if self.command.as_deref().is_some_and(|command| !command.is_empty()) => Protocol::Stdio,
            Protocol::Auto => Protocol::StreamableHttp,
            protocol => protocol,
        }
    }
}

impl ServerConfig {
    /// Why the server is not started, and what to do, if it requires isolation.
    pub fn must_be_isolated(&self) -> Option<String> {
        let mode = self.isolation.mode.as_deref().filter(|mode| *mode != NONE)?;
        let command = self.command.as_deref().unwrap_or_default();
        // A server that is a container already is not put into another one.
        if self.effective_protocol() != Protocol::Stdio || command.contains("docker") {
            return None;
        }
        Some(format!(
            "it requires isolation (`{mode}`, from `docker_isolation` or its own `isolation`), which this version does not support: \
             set `\"isolation\": {{\"enabled\": false, \"mode\": \"none\"}}` in its entry to run it without isolation"
        ))
    }
}
