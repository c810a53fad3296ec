//! `/connect`: AI clients and our entry in their files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::words::{AccessState, ConnectAction, FileFormat};

/// One AI client of this computer, in the list that `GET /api/v1/connect` answers with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AiClient {
    /// `claude-code`, `cursor`, …
    #[serde(default)]
    pub id: String,
    /// The name that people know.
    #[serde(default)]
    pub name: String,
    /// Whether its configuration, or the directory for it, is there.
    #[serde(default)]
    pub exists: bool,
    /// Whether that names this core. The existing core's list never says yes: only a client asked for by itself is read.
    #[serde(default)]
    pub connected: bool,
    /// Whether the core can write its configuration on this system.
    #[serde(default)]
    pub supported: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub config_path: String,
    #[serde(default)]
    pub access_state: AccessState,
    /// The name of our entry, where it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// `data` of `GET /api/v1/connect/{id}/preview`: what a POST would write. Nothing in it is a secret.
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
    /// The name that the entry has or would have.
    #[serde(default)]
    pub server_name: String,
    /// The entry; a key in it is masked.
    #[serde(default)]
    pub entry: serde_json::Map<String, serde_json::Value>,
    /// The same as a file with nothing else in it.
    #[serde(default)]
    pub entry_text: String,
    /// Whether an entry of this name is there.
    #[serde(default)]
    pub entry_exists: bool,
    /// Whether the entry would hold the key of the core.
    #[serde(default)]
    pub contains_api_key: bool,
    #[serde(default)]
    pub access_state: AccessState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_entry_summary: Option<EntrySummary>,
    /// Stands for the file and the request as they are: a POST with it writes nothing else, to nothing else.
    #[serde(default)]
    pub precondition_token: String,
    /// Why a POST would be refused whatever it says; a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_refusal: Option<String>,
}

/// An entry that is there, without what may be a secret, in [`ConnectPreview`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntrySummary {
    #[serde(default)]
    pub entry_name: String,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Scheme, host and port of its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The program that it starts, without arguments.
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
    /// A sentence for a person.
    #[serde(default)]
    pub message: String,
}
