//! Importing servers from the configurations of other programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::words::{OperatingSystem, ServerProtocol};

/// `POST /api/v1/servers/import…`: the servers that were imported, or would be in a preview.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImportResult {
    /// ID of the source's client or format, such as `cursor`; `several` for more than one source.
    pub format: String,
    pub format_name: String,
    pub summary: ImportSummary,
    pub imported: Vec<ImportedServer>,
    pub skipped: Vec<SkippedServer>,
    pub failed: Vec<FailedServer>,
    pub warnings: Vec<String>,
}

/// Number of servers by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImportSummary {
    pub total: usize,
    pub imported: usize,
    pub skipped: usize,
    pub failed: usize,
}

/// A server that was added, or would be in a preview.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImportedServer {
    pub name: String,
    pub protocol: ServerProtocol,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    pub source_format: String,
    /// The server's name in the source.
    pub original_name: String,
    /// Keys of the source that MCPProxy does not support.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields_skipped: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Values in the entry that could be moved to the keychain, as `env.NAME` or `headers.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// A server that was not imported because it exists already or was not selected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SkippedServer {
    pub name: String,
    pub reason: String,
}

/// A server that cannot be imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailedServer {
    pub name: String,
    pub error: String,
}

/// `GET /api/v1/servers/import/paths`: where AI clients keep their configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImportPaths {
    pub os: OperatingSystem,
    pub paths: Vec<ImportPath>,
}

/// A client's configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImportPath {
    pub name: String,
    /// The value of `format` for importing this file.
    pub format: String,
    pub path: String,
    pub exists: bool,
    pub os: OperatingSystem,
    pub description: String,
}
