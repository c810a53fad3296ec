//! One entry of `mcpServers`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::activity::Bodies;
use crate::config::deserialize::{null_as_default, optional_duration, string_or_none, yes};
use crate::config::document::servers_as_array;
use crate::config::environment_filter::EnvironmentFilter;
use crate::config::isolation::{Isolation, IsolationKeys, keys_or_word};
use crate::config::serving::Concurrency;
use crate::config::trust::Trust;
use crate::scan::sensitive::Policy;

/// Keys of an entry that only MCPProxy has, and that approve nothing.
pub const SERVER_OPTIONS: &[&str] = &[
    "enabled_tools",
    "disabled_tools",
    "isolation",
    "inherit_env",
    "expose_prompts",
    "init_timeout",
    "stray_output_timeout",
    "activity_bodies",
    "sensitive_data",
    "max_concurrent_requests",
    "queue_size",
    "queue_timeout",
];

/// A server. Either `command` or `url` is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ServerConfig {
    /// Unique name without a colon. Its tools are called `name:tool`.
    #[schemars(title = "Name")]
    pub name: String,
    /// How to talk to the server.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Protocol>", title = "Protocol")]
    pub protocol: Protocol,
    /// Program of a local server.
    #[serde(default)]
    #[schemars(title = "Program")]
    pub command: Option<String>,
    /// Arguments of the program.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Arguments")]
    pub args: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>", title = "Environment variables")]
    pub env: BTreeMap<String, String>,
    /// Directory that the program starts in.
    #[serde(default)]
    #[schemars(title = "Working directory")]
    pub working_dir: Option<PathBuf>,
    /// URL of a remote server.
    #[serde(default)]
    #[schemars(title = "URL")]
    pub url: Option<String>,
    /// Headers of every request to `url`; never shown.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>", title = "Headers")]
    pub headers: BTreeMap<String, String>,
    /// Sign-in settings, if the server's own are not enough.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<OauthConfig>", title = "Sign-in")]
    pub oauth: OauthConfig,
    /// `false` stops the server and keeps its configuration.
    #[serde(default = "yes", deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", extend("default" = true), title = "Enabled")]
    pub enabled: bool,
    /// The server needs approval: it does not run, and its tools are unavailable.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Needs approval")]
    pub quarantined: bool,
    /// The older name of `auto_approve_tool_changes`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Skip approval")]
    pub skip_quarantine: bool,
    /// New and changed tools of this server need no approval.
    #[serde(default)]
    #[schemars(title = "Approve changed tools")]
    pub auto_approve_tool_changes: Option<bool>,
    /// Approval of new and changed tools: `auto` (none needed), `scan` (clean tools need none) or `manual`. Outranks
    /// the two older keys.
    #[serde(default, deserialize_with = "string_or_none")]
    #[schemars(title = "Approval of new and changed tools", extend("enum" = ["auto", "scan", "manual", null]))]
    pub trust_mode: Option<String>,
    /// If not empty, only these tools are on.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Only these tools")]
    pub enabled_tools: Vec<String>,
    /// Names of tools that are off.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Tools that are off")]
    pub disabled_tools: Vec<String>,
    /// Isolation of this server.
    /// One word sets the mode only, such as `"auto"`.
    #[serde(default, rename = "isolation", deserialize_with = "keys_or_word")]
    #[schemars(with = "Option<IsolationKeys>", title = "Isolation")]
    pub isolation_keys: IsolationKeys,
    /// The isolation that results, with `docker_isolation` taken into account.
    #[serde(skip)]
    pub isolation: Isolation,
    /// Names of variables from your environment that this server receives besides the built-in list.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Variables from your environment")]
    pub inherit_env: Vec<String>,
    /// `environment` of the settings.
    #[serde(skip)]
    pub environment: EnvironmentFilter,
    /// Offers the server's prompts to AI clients; `false` hides them.
    #[serde(default)]
    #[schemars(title = "Offer prompts", extend("default" = true))]
    pub expose_prompts: Option<bool>,
    /// Longest duration of the start, downloads included, such as `90s`. Default: 180 s for local servers, 30 s for remote ones.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>", title = "Longest start")]
    pub init_timeout: Option<Duration>,
    /// How long a server may be silent after stray text on stdout before its only call fails.
    /// Default: 60 s; `0s` turns this off.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>", title = "Wait after stray output")]
    pub stray_output_timeout: Option<Duration>,
    /// Stores arguments and results of this server's calls in the activity log: `off`, `redacted` or `full`.
    #[serde(default)]
    #[schemars(title = "Contents of calls")]
    pub activity_bodies: Option<Bodies>,
    /// `sensitive_data` for this server's calls.
    #[serde(default)]
    #[schemars(title = "Sensitive data in calls")]
    pub sensitive_data: Option<Policy>,
    /// How many of its calls run at once. 0 means any number.
    #[serde(default)]
    #[schemars(title = "Calls at once")]
    pub max_concurrent_requests: Option<usize>,
    /// How many of its calls wait if that many run. The next is refused.
    #[serde(default)]
    #[schemars(title = "Waiting calls")]
    pub queue_size: Option<usize>,
    /// Longest wait of a call, such as `30s`.
    #[serde(default, deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>", title = "Longest wait of a call")]
    pub queue_timeout: Option<Duration>,
}

/// A client that you registered at the authorization server, and what to request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct OauthConfig {
    /// Id of the registered client.
    #[serde(default, deserialize_with = "string_or_none")]
    #[schemars(title = "Client ID")]
    pub client_id: Option<String>,
    /// Secret of the registered client.
    #[serde(default, deserialize_with = "string_or_none")]
    #[schemars(title = "Client secret")]
    pub client_secret: Option<String>,
    /// URL on this computer, as registered.
    #[serde(default, deserialize_with = "string_or_none")]
    #[schemars(title = "Redirect URL")]
    pub redirect_uri: Option<String>,
    /// Scopes to request.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "Scopes")]
    pub scopes: Vec<String>,
    /// Additional parameters of the sign-in page, such as `audience`.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>", title = "More parameters")]
    pub extra_params: BTreeMap<String, String>,
    /// Sign in although the authorization server does not announce PKCE. Only for one that you trust.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<bool>", title = "Allow sign-in without PKCE")]
    pub allow_missing_pkce: bool,
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
        self.trust() == Trust::Auto
    }

    /// How new and changed tools of this server are approved.
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

/// Reads `mcpServers`: an array of entries, or an object of entries by name as other programs write it.
pub(crate) fn servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ServerConfig>, D::Error> {
    struct Servers;

    impl<'de> Visitor<'de> for Servers {
        type Value = Vec<ServerConfig>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an array of servers, or an object of servers by name")
        }

        fn visit_unit<E>(self) -> Result<Vec<ServerConfig>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<ServerConfig>, A::Error> {
            let mut servers = Vec::new();
            while let Some(server) = items.next_element::<Option<ServerConfig>>()? {
                servers.extend(server);
            }
            Ok(servers)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Vec<ServerConfig>, A::Error> {
            let mut by_name = Map::new();
            while let Some((name, entry)) = entries.next_entry::<String, Value>()? {
                if !entry.is_object() {
                    return Err(A::Error::custom(format!("the entry of server `{name}` is not an object")));
                }
                by_name.insert(name, entry);
            }
            let servers = servers_as_array(&Value::Object(by_name)).into_iter();
            servers.map(|server| serde_json::from_value(server).map_err(A::Error::custom)).collect()
        }
    }

    deserializer.deserialize_any(Servers)
}
