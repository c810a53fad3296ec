//! `/api/v1/setup`: what guided setup depends on, and the result of its closing call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::clients::AiClient;
use crate::contract::api::servers::Server;

/// `data` of `GET /api/v1/setup`: what is still to be set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Setup {
    /// Installed AI clients without an entry for this core. Files that macOS protects are not opened, so a connected
    /// client with such a file may be among them.
    pub unconnected: Vec<SetupClient>,
    /// AI clients with an entry for this core.
    pub connected: Vec<SetupClient>,
    /// Names of the servers that can be imported from AI clients.
    pub importable: Vec<String>,
    /// Names of the AI clients that have these servers.
    pub import_from: Vec<String>,
    /// Names of the servers that need approval, or whose tools do.
    pub pending: Vec<String>,
    /// Number of configured servers.
    pub servers: u32,
}

impl Setup {
    /// The state of these clients and servers, and of the servers that can be imported.
    pub fn new(clients: Vec<AiClient>, importable: Vec<String>, import_from: Vec<String>, servers: &[Server]) -> Setup {
        let (connected, others): (Vec<AiClient>, Vec<AiClient>) =
            clients.into_iter().partition(|client| client.connected);
        let missing = others.into_iter().filter(|client| client.exists && client.supported);
        let pending = servers.iter().filter(|server| server.needs_approval());
        Setup {
            unconnected: missing.map(SetupClient::from).collect(),
            connected: connected.into_iter().map(SetupClient::from).collect(),
            importable,
            import_from,
            pending: pending.map(|server| server.name.clone()).collect(),
            servers: u32::try_from(servers.len()).unwrap_or(u32::MAX),
        }
    }
}

/// An AI client, as setup shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SetupClient {
    /// `claude-code`, `cursor`, …
    pub id: String,
    /// Display name, such as `Claude Code`.
    pub name: String,
    pub config_path: String,
}

impl From<AiClient> for SetupClient {
    fn from(client: AiClient) -> SetupClient {
        SetupClient {
            id: client.id,
            name: client.name,
            config_path: client.config_path,
        }
    }
}

/// `data` of `POST /api/v1/setup/proof`: one test call for each connected AI client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SetupProof {
    pub calls: Vec<SetupCall>,
}

/// A test call over the entry in an AI client's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SetupCall {
    /// Display name of the AI client; empty if no client is connected.
    pub client: String,
    /// The URL or the command line in the client's entry.
    pub entry: String,
    /// The server whose tool was called; empty if no server has a tool that is marked as read-only and needs no
    /// arguments.
    pub server: String,
    /// The tool that was called.
    pub tool: String,
    /// Time to open the session and to list its tools, in milliseconds.
    pub open_ms: u64,
    /// Time of the call, in milliseconds.
    pub call_ms: u64,
    /// Why the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
