//! The review that the user sees before approving a server or its tools: one type for the tray, the CLI, REST and the
//! page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::isolation::{IsolationFacts, VariableFact};
use crate::contract::scan::Finding;
use crate::contract::words::{ApprovalStatus, AutomaticApproval};

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
    /// Whether the tools come from an inspection of a server that needs approval. They are approved together with the
    /// server, and no others are.
    pub inspected: bool,
    /// The access that the server gets if it is started before the approval to list its tools; absent if it cannot be inspected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspection: Option<String>,
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
    /// The origin of the last change of what the entry runs. A model or program that changed it before the user did is named, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// How the server will be isolated on this computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationFacts>,
    /// The environment variables that it receives, without their values.
    pub variables: Vec<VariableFact>,
    /// The differences from the last approved entry; empty if there is none or nothing has changed.
    pub changes: Vec<ReviewChange>,
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
    /// Findings of the scanner in its texts.
    pub findings: Vec<Finding>,
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
    /// The approved definition of a tool that has changed, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Value>,
    /// The parts that changed since the approval.
    pub changes: Vec<String>,
    /// Findings of the scanner, the most severe first.
    pub findings: Vec<Finding>,
    /// Only if this definition was approved automatically.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<AutomaticApproval>,
}

/// A danger that the user must confirm separately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Confirmation {
    /// Identifies the danger in `confirmed` of an approval, for example `reference_to_secret:env.TOKEN`.
    pub key: String,
    /// A message for the user.
    pub text: String,
}

/// Body of `POST …/unquarantine` and `POST …/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApproveServer {
    /// [`Review::fingerprint`] of the review that the user saw. Without it, the approval fails if the entry has changed
    /// since the last review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// [`Confirmation::key`] of every danger that the user confirmed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<String>,
    /// [`ReviewTool::fingerprint`] of each inspected tool that the user saw, by name. Only these are approved with the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<std::collections::BTreeMap<String, String>>,
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

/// `data` of a 409 response: nothing was approved, because the server or its tools changed after the user saw them, or
/// a danger was not confirmed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReviewConflict {
    /// The differences from the version that the user saw, if the core still has it.
    pub changes: Vec<ReviewChange>,
    /// The dangers that the user has not confirmed.
    pub unconfirmed: Vec<Confirmation>,
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

impl Review {
    /// Parses a review. Fails if this program does not know a part of it, because it could not show that part to the
    /// user.
    ///
    /// # Errors
    /// The unknown part.
    pub fn read(value: &Value) -> Result<Review, String> {
        let review: Review = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        let understood = serde_json::to_value(&review).map_err(|error| error.to_string())?;
        match lost("", value, &understood) {
            None => Ok(review),
            Some(place) => Err(format!("`{}` is not known to this version", place.trim_start_matches('.'))),
        }
    }
}

/// Returns the first path in `received` that is missing in `understood`.
fn lost(place: &str, received: &Value, understood: &Value) -> Option<String> {
    match (received, understood) {
        (Value::Null, _) => None,
        (Value::Object(received), Value::Object(understood)) => received.iter().find_map(|(key, value)| {
            let place = format!("{place}.{key}");
            match understood.get(key) {
                Some(understood) => lost(&place, value, understood),
                None => (!value.is_null()).then_some(place),
            }
        }),
        (Value::Array(received), Value::Array(understood)) if received.len() == understood.len() => {
            received.iter().zip(understood).find_map(|(value, understood)| lost(place, value, understood))
        }
        _ => (received != understood).then(|| place.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_review_with_a_part_that_cannot_be_shown_is_refused() {
        let known = json!({"name": "a", "fingerprint": "f", "needs_approval": true, "enabled": true, "connected": false,
            "args": ["x"], "env": [], "headers": [], "other": {"isolation": {"mode": "none"}}, "added_by": null,
            "variables": [], "changes": [], "warnings": [], "tools": [{"name": "t", "fingerprint": "g", "approval": "pending",
            "disabled": false, "definition": {"any": ["thing", null]}, "changes": [], "findings": []}], "offers": []});
        assert_eq!(Review::read(&known).map(|review| review.tools.len()), Ok(1));
        let refused = |key: &str, value: Value| {
            let mut other = known.clone();
            other[key] = value;
            Review::read(&other).unwrap_err()
        };
        assert_eq!(refused("runs_before", json!(["rm"])), "`runs_before` is not known to this version");
        assert!(refused("warnings", json!([{"rule": "r", "level": 9}])).contains("warnings.level"));
        assert!(refused("args", json!("x")).contains("expected"));
        assert!(refused("isolation", json!({"configured": "x"})).contains("missing"));
    }
}
