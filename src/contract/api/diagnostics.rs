//! `/diagnostics`: what needs a person's attention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::api::lenient::null_as_default;
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
    /// RFC 3339.
    #[serde(default)]
    pub timestamp: String,
}

/// A server that does not work, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamError {
    #[serde(default)]
    pub server_name: String,
    #[serde(default)]
    pub error_message: String,
    #[serde(default)]
    pub timestamp: String,
}

/// A server that waits for a person to sign in, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OauthRequired {
    #[serde(default)]
    pub server_name: String,
    /// As `oauth_status` of `Server`.
    #[serde(default)]
    pub state: SignInStatus,
    #[serde(default)]
    pub message: String,
}

/// A secret that entries refer to and that is nowhere, in [`Diagnostics`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingSecret {
    #[serde(default)]
    pub secret_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub used_by: Vec<String>,
}
