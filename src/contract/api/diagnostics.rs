//! `/diagnostics`: problems that need the user's attention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
use crate::contract::api::problems::{Diagnostic, Waiting};
use crate::contract::words::SignInStatus;

/// `data` of `GET /api/v1/diagnostics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostics {
    #[serde(default)]
    pub total_issues: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    pub upstream_errors: Vec<UpstreamError>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub oauth_required: Vec<OauthRequired>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub missing_secrets: Vec<MissingSecret>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub runtime_warnings: Vec<String>,
    /// Servers and calls that wait for something, the longest wait first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub waiting: Vec<Waiting>,
    /// The problem of each server as a stable code, the most severe first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub diagnostics: Vec<Diagnostic>,
    /// RFC 3339.
    #[serde(default)]
    pub timestamp: String,
}

/// A server that failed, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamError {
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub error_message: String,
    #[serde(default)]
    pub timestamp: String,
}

/// A server that needs sign-in, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OauthRequired {
    #[serde(default)]
    pub server_name: String,
    /// The same values as `oauth_status` of `Server`.
    #[serde(default)]
    pub state: SignInStatus,
    #[serde(default)]
    pub message: String,
}

/// A secret that server entries refer to and that does not exist, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingSecret {
    #[serde(default)]
    pub secret_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub used_by: Vec<String>,
}
