//! The review that the user sees before approving a server or its tools: one type for the tray, the CLI, REST and the
//! page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::words::ApprovalStatus;

/// `data` of `GET /api/v1/servers/{name}/review`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Review {
    pub name: String,
    /// Hash of everything that decides what runs and what leaves the machine. An approval must contain it.
    pub fingerprint: String,
    /// The server does not run until it is approved.
    pub needs_approval: bool,
    pub enabled: bool,
    /// Whether the server is running, so that its tools are known.
    pub connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// All arguments, unshortened.
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub env: Vec<ReviewValue>,
    pub headers: Vec<ReviewValue>,
    /// All other keys of the entry, with secrets masked.
    pub other: serde_json::Map<String, Value>,
    /// What added the server: a client's name, `command line`, `REST`; absent for an entry written by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_by: Option<String>,
    /// When it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    pub warnings: Vec<ReviewWarning>,
    pub tools: Vec<ReviewTool>,
    /// The server's prompts and resource templates.
    pub offers: Vec<ReviewOffer>,
}

/// One prompt or resource template of a running server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewOffer {
    /// `prompt:NAME` or `template:URI`; identifies the offer in an approval.
    pub key: String,
    /// Hash of the full definition. An approval must contain it.
    pub fingerprint: String,
    pub approval: ApprovalStatus,
    pub definition: Value,
}

/// One environment variable or header.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewValue {
    pub name: String,
    /// The value with references readable and everything else masked: `••••${env:TOKEN}`.
    pub value: String,
    /// The references in the value, such as `${env:TOKEN}`.
    pub references: Vec<String>,
}

/// Something that the user should check before approving.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewWarning {
    /// The rule that found it, such as `reference_to_secret`.
    pub rule: String,
    /// The location: `env.NAME`, `headers.NAME`, `args`, `tools.NAME`.
    pub field: String,
    pub quote: String,
    pub reason: String,
    /// Whether to show it in red and require a separate confirmation.
    pub confirm: bool,
}

/// One tool of a running server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewTool {
    pub name: String,
    /// Hash of the full definition. An approval must contain it.
    pub fingerprint: String,
    pub approval: ApprovalStatus,
    pub disabled: bool,
    /// The definition as the server sent it: description, schemas, annotations, icons and `_meta`.
    pub definition: Value,
    /// The approved description of a tool that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_description: Option<String>,
    /// The parts that changed since the approval.
    pub changes: Vec<String>,
}

/// Body of `POST …/unquarantine` and `POST …/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApproveServer {
    /// [`Review::fingerprint`] of the review that the user saw. Without it, the approval fails if the entry has changed
    /// since the last review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// Body of `POST …/tools/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApproveTools {
    /// Names of the tools; `fingerprints` identifies the definitions that the user saw.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Approve all tools that the user saw and that need approval.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approve_all: bool,
    /// [`ReviewTool::fingerprint`] of each tool that the user saw, by name, and [`ReviewOffer::fingerprint`] of each
    /// offer, by key. Only these are approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprints: Option<std::collections::BTreeMap<String, String>>,
}

/// `data` of a 409 response: nothing was approved, because the server or its tools changed after the user saw them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewConflict {
    /// The differences from the version that the user saw, if the core still has it.
    pub changes: Vec<ReviewChange>,
    /// The current review, to show to the user.
    pub review: Review,
}

/// One difference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewChange {
    /// A key of the entry, or `tools.NAME`.
    pub field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}
