//! A server's problem as a stable code with remedies, and the request for a fix.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::health::Health;
use crate::contract::api::lenient::null_as_default;
use crate::contract::words::{FixMode, FixOutcome, ProblemSeverity, ServerStatus};

/// A server or a call that waits, in `Diagnostics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    #[serde(default)]
    pub server_name: String,
    /// The tool or request that waits; absent if the server itself does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The event that it waits for, such as "a reply to `initialize`".
    #[serde(default)]
    pub waits_for: String,
    /// RFC 3339.
    #[serde(default)]
    pub since: String,
    #[serde(default)]
    pub seconds: u64,
    /// When MCPProxy gives up, in seconds after `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_seconds: Option<u64>,
}

/// A server's problem and its remedy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Stable, such as `MCPX_STDIO_SPAWN_ENOENT`.
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub severity: ProblemSeverity,
    /// The message of the failure. Contains no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The next step for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// Why it usually happens.
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub server_id: String,
    /// RFC 3339.
    #[serde(default)]
    pub detected_at: String,
    /// What happened.
    #[serde(default)]
    pub user_message: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub fix_steps: Vec<FixStep>,
    /// The page of the code, relative to the documentation.
    #[serde(default)]
    pub docs_url: String,
}

/// One way to fix a problem, in [`Diagnostic`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FixStep {
    #[serde(rename = "type", default)]
    pub kind: FixStepKind,
    #[serde(default)]
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For `POST /api/v1/diagnostics/fix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixer_key: Option<String>,
    /// Changes settings, credentials or the state of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive: Option<bool>,
}

impl FixStep {
    pub fn new(kind: FixStepKind, label: &str) -> FixStep {
        FixStep {
            kind,
            label: label.to_owned(),
            ..FixStep::default()
        }
    }
}

/// The kind of a [`FixStep`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FixStepKind {
    /// A command for the terminal.
    Command,
    /// Something that MCPProxy does.
    Button,
    /// Advice or a page to read.
    #[default]
    #[serde(other)]
    Link,
}

/// `data` of `GET /api/v1/servers/{name}/diagnostics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerDiagnostics {
    #[serde(default)]
    pub server: String,
    #[serde(default)]
    pub connected: bool,
    #[serde(default)]
    pub status: ServerStatus,
    #[serde(default)]
    pub health: Option<Health>,
    #[serde(default)]
    pub diagnostic: Option<Diagnostic>,
    #[serde(default)]
    pub error_code: Option<String>,
    /// Number of codes.
    #[serde(default)]
    pub catalog_size: usize,
}

/// `data` of `GET /api/v1/diagnostics/codes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosticCodes {
    #[serde(default, deserialize_with = "null_as_default")]
    pub codes: Vec<CatalogEntry>,
}

/// One code, in [`DiagnosticCodes`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogEntry {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub severity: ProblemSeverity,
    #[serde(default)]
    pub user_message: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub fix_steps: Vec<FixStep>,
    #[serde(default)]
    pub docs_url: String,
    /// The page of the code, in Markdown.
    #[serde(default)]
    pub page: String,
    #[serde(default)]
    pub deprecated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}

/// Body of `POST /api/v1/diagnostics/fix`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FixRequest {
    #[serde(default)]
    pub server: String,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub fixer_key: String,
    /// Required for a destructive fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FixMode>,
}

/// `data` of `POST /api/v1/diagnostics/fix`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FixResult {
    #[serde(default)]
    pub outcome: FixOutcome,
    #[serde(default)]
    pub duration_ms: u64,
    #[serde(default)]
    pub mode: FixMode,
    /// A description of the fix, or the lines that it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// A page to open in the browser, to complete the fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_url: Option<String>,
    /// Whether the core has opened the page.
    #[serde(default)]
    pub browser_opened: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_msg: Option<String>,
}
