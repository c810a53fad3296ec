//! The review that a person sees before approving a server or its tools: one value for the tray, the CLI, REST and the page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::words::ApprovalStatus;

/// `data` of `GET /api/v1/servers/{name}/review`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Review {
    pub name: String,
    /// Stands for everything that decides what runs and what leaves the machine; an approval carries it.
    pub fingerprint: String,
    /// The server does not run until it is approved.
    pub needs_approval: bool,
    pub enabled: bool,
    /// Whether the server runs, so that its tools are known.
    pub connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Every argument, in full.
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub env: Vec<ReviewValue>,
    pub headers: Vec<ReviewValue>,
    /// Every other key of the entry, with secrets masked.
    pub other: serde_json::Map<String, Value>,
    /// Who added the server: a client's name, `command line`, `REST`; absent for an entry written by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_by: Option<String>,
    /// When it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    pub warnings: Vec<ReviewWarning>,
    pub tools: Vec<ReviewTool>,
    /// Its prompts and resource templates.
    pub offers: Vec<ReviewOffer>,
}

/// One prompt or resource template of a running server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewOffer {
    /// `prompt:NAME` or `template:URI`; an approval names it so.
    pub key: String,
    /// Stands for the full definition; an approval carries it.
    pub fingerprint: String,
    pub approval: ApprovalStatus,
    pub definition: Value,
}

/// One environment variable or header.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewValue {
    pub name: String,
    /// References in clear text, everything else masked: `••••${env:TOKEN}`.
    pub value: String,
    /// The references in it, such as `${env:TOKEN}`.
    pub references: Vec<String>,
}

/// Something that deserves a second look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewWarning {
    /// Which rule found it, such as `reference_to_secret`.
    pub rule: String,
    /// Where: `env.NAME`, `headers.NAME`, `args`, `tools.NAME`.
    pub field: String,
    pub quote: String,
    pub reason: String,
    /// It is to be marked in red and confirmed by itself.
    pub confirm: bool,
}

/// One tool of a running server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewTool {
    pub name: String,
    /// Stands for the full definition; an approval carries it.
    pub fingerprint: String,
    pub approval: ApprovalStatus,
    pub disabled: bool,
    /// The definition as the server sent it: description, schemas, annotations, icons and `_meta`.
    pub definition: Value,
    /// The approved description of a tool that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_description: Option<String>,
    /// Which parts have changed since the approval.
    pub changes: Vec<String>,
}

/// Body of `POST …/unquarantine` and `POST …/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApproveServer {
    /// [`Review::fingerprint`] of what was shown. Without it, the approval is refused if the entry has changed since it
    /// was last shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// Body of `POST …/tools/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApproveTools {
    /// The tools by name; `fingerprints` says which definitions were shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// All tools that were shown and need approval.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approve_all: bool,
    /// [`ReviewTool::fingerprint`] of each tool that was shown, by name, and [`ReviewOffer::fingerprint`] of each offer, by
    /// key. Only these are approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprints: Option<std::collections::BTreeMap<String, String>>,
}

/// `data` of the answer 409: nothing was approved, because something has changed since it was shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewConflict {
    /// The differences from the version that was shown, as far as it is remembered.
    pub changes: Vec<ReviewChange>,
    /// The current review, to be shown again.
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
