//! `/connect`: AI clients, and this proxy's entry in their configuration files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::words::{AccessState, ConnectAction, FileFormat};

/// One AI client on this computer, as listed by `GET /api/v1/connect`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AiClient {
    /// `claude-code`, `cursor`, …
    #[serde(default)]
    pub id: String,
    /// Display name, such as `Claude Code`.
    #[serde(default)]
    pub name: String,
    /// Whether the client's configuration file, or the directory for it, exists.
    #[serde(default)]
    pub exists: bool,
    /// Whether the configuration contains an entry for this core. The Go core always reports `false` in its list: it
    /// reads only a client that is requested by ID.
    #[serde(default)]
    pub connected: bool,
    /// Whether the core can edit this client's configuration on this operating system.
    #[serde(default)]
    pub supported: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub config_path: String,
    #[serde(default)]
    pub access_state: AccessState,
    /// Name of the entry for this proxy; absent if it has the default name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// `data` of `GET /api/v1/connect/{id}/preview`: the change that a POST would make. Contains no secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectPreview {
    #[serde(default)]
    pub client: String,
    #[serde(default)]
    pub config_path: String,
    #[serde(default)]
    pub format: FileFormat,
    /// The key of the object that holds the client's servers.
    #[serde(default)]
    pub server_key: String,
    /// The name of the existing entry, or of the entry that a POST would add.
    #[serde(default)]
    pub server_name: String,
    /// The entry; an API key in it is masked.
    #[serde(default)]
    pub entry: serde_json::Map<String, serde_json::Value>,
    /// The entry as the text of a file that contains nothing else.
    #[serde(default)]
    pub entry_text: String,
    /// Whether an entry with this name exists.
    #[serde(default)]
    pub entry_exists: bool,
    /// Whether the entry would contain the core's API key.
    #[serde(default)]
    pub contains_api_key: bool,
    #[serde(default)]
    pub access_state: AccessState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_entry_summary: Option<EntrySummary>,
    /// Identifies the previewed file and request. A POST with this token fails if either has changed.
    #[serde(default)]
    pub precondition_token: String,
    /// Why every POST would be refused, as a message for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_refusal: Option<String>,
}

/// An existing entry without possible secrets, in [`ConnectPreview`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntrySummary {
    #[serde(default)]
    pub entry_name: String,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Scheme, host and port of the entry's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The command of the entry, without arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub header_names: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub env_names: Vec<String>,
}

/// `data` of a POST or DELETE to `/api/v1/connect/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectResult {
    #[serde(default)]
    pub success: bool,
    #[serde(default)]
    pub client: String,
    #[serde(default)]
    pub config_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_path: Option<String>,
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub action: ConnectAction,
    /// A message for the user.
    #[serde(default)]
    pub message: String,
}
