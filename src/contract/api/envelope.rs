//! The body of every JSON response, and of `GET /ready`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of every JSON response: `{"success":true,"data":…}` or `{"success":false,"error":"…"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<T> {
    #[serde(default = "yes")]
    pub success: bool,
    #[serde(default = "none::<T>", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn none<T>() -> Option<T> {
    None
}

/// A response without `success` counts as a success unless its status code says otherwise.
fn yes() -> bool {
    true
}

impl<T> Envelope<T> {
    /// A success with its data.
    pub fn ok(data: T) -> Envelope<T> {
        Envelope {
            success: true,
            data: Some(data),
            error: None,
        }
    }
}

impl Envelope<()> {
    /// A failure with a message for the user.
    pub fn failed(error: impl Into<String>) -> Envelope<()> {
        Envelope {
            success: false,
            data: None,
            error: Some(error.into()),
        }
    }
}

/// `GET /ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    pub ready: bool,
}
