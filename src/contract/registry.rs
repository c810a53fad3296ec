//! Servers in registries, as exchanged between the programs. All text in them comes from publishers: it is escaped and
//! shortened, but not verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::words::{RegistryProvenance, RegistryStatus, ServerProtocol};

/// `data` of `GET /api/v1/registries`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryList {
    pub registries: Vec<Registry>,
    pub total: usize,
}

/// A registry to search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Registry {
    pub id: String,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub url: String,
    /// Where its servers are listed.
    pub servers_url: String,
    pub protocol: String,
    pub provenance: RegistryProvenance,
    /// Why it cannot be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}

/// `data` of `GET /api/v1/registries/{id}/servers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryServers {
    /// `all` if several registries were searched.
    pub registry_id: String,
    pub servers: Vec<RegistryServer>,
    pub total: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Set if a registry did not answer, and some or all servers come from an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<RegistryCache>,
    /// Set if a registry did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<RegistryUnavailable>,
}

/// The age of an answer that was stored earlier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryCache {
    /// When the oldest part was received (RFC 3339).
    pub fetched_at: String,
    pub age_seconds: i64,
    /// Always true: fresh answers have no `cache`.
    pub stale: bool,
}

/// Why a registry did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryUnavailable {
    pub reason: String,
}

/// A server in a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryServer {
    /// The same as `name`.
    pub id: String,
    /// Its name in the registry, such as `io.github.user/server`. The part before the slash names the publisher.
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    pub description: String,
    pub version: String,
    /// ID of the registry.
    pub registry: String,
    pub status: RegistryStatus,
    /// URL of the first usable remote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_code_url: Option<String>,
    /// Command line of the first usable package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_cmd: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub updated_at: String,
    /// The inputs that the first usable option requires.
    pub required_inputs: Vec<RequiredInput>,
    /// The ways to run it, in the publisher's order.
    pub options: Vec<RegistryOption>,
}

/// A required input in the Go core's format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RequiredInput {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub secret: bool,
}

/// One way to run a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryOption {
    /// `npm`, `pypi`, `oci`, `nuget`, `mcpb` or `remote`; a second one of a kind has a number, such as `npm-2`.
    pub id: String,
    /// The command line or URL, with inputs as `{name}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    /// Why MCPProxy cannot add it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
    pub inputs: Vec<RegistryInput>,
}

impl RegistryOption {
    /// Whether it can be added.
    pub fn is_usable(&self) -> bool {
        self.unsupported.is_none()
    }
}

/// The part of an entry that an input belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// An environment variable.
    #[default]
    Env,
    /// An HTTP header.
    Header,
    /// An argument of the program, or a part of an argument, header, variable or URL.
    Arg,
}

impl InputKind {
    /// The command line's option for such an input, with its form.
    pub fn flag(self, name: &str) -> String {
        match self {
            InputKind::Env => format!("--env {name}=VALUE"),
            InputKind::Header => format!("--header '{name}: VALUE'"),
            InputKind::Arg => format!("--arg {name}=VALUE"),
        }
    }
}

/// A value that the user can or must give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegistryInput {
    pub kind: InputKind,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub required: bool,
    /// It belongs in the keychain.
    pub secret: bool,
    /// It may be given several times.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// If not empty, the value must be one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub placeholder: String,
}

/// Body of `POST /api/v1/registries/{id}/servers/{server}/add`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AddFromRegistry {
    /// Name of the new server; derived from the name in the registry if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ID of the option; the first usable one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// Environment variables.
    pub env: std::collections::BTreeMap<String, String>,
    /// HTTP headers.
    pub headers: std::collections::BTreeMap<String, String>,
    /// Arguments and variables; one that may be repeated has its values on lines of their own.
    pub args: std::collections::BTreeMap<String, String>,
    /// Keeps secrets in the configuration file instead of the keychain.
    pub keep_secrets_in_file: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// `data` of an addition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AddedFromRegistry {
    pub server: AddedEntry,
    /// Names of the secrets that were stored in the keychain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stored_secrets: Vec<String>,
}

/// The new server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AddedEntry {
    pub name: String,
    pub protocol: ServerProtocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub enabled: bool,
    pub quarantined: bool,
}

/// Body of `POST /api/v1/registries`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AddRegistry {
    /// Derived from the URL's host if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub url: String,
}

/// `data` of a change of the registries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChangedRegistry {
    pub registry: Registry,
}
