//! Asks the collector which data it stores about this installation, or asks it to delete that data.

use std::time::Duration;

use serde_json::{Value, json};

use crate::os::https::{Url, agent};
use crate::telemetry::payload::AnonymousId;

/// Time limit of the whole request. Deleting waits for the collector's database.
const LIMIT: Duration = Duration::from_secs(45);

/// Why the collector did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the collector returned {0}")]
    Refused(u16),
    #[error("the collector could not be reached: {0}")]
    Unreachable(String),
    #[error("the collector did not return JSON: it may be one that cannot do this")]
    NotJson,
}

/// Posts the id, which is the only proof of ownership, and returns the answer. Blocks for up to 45 s.
///
/// # Errors
/// [`AskError`].
pub fn ask_collector(url: &Url, id: &AnonymousId) -> Result<Value, AskError> {
    let body = json!({"anonymous_id": id.as_str()}).to_string();
    let mut answer = agent(url, LIMIT, 0)
        .post(url.as_str())
        .header("Content-Type", "application/json")
        .send(body.as_bytes())
        .map_err(|error| AskError::Unreachable(error.to_string()))?;
    match answer.status().as_u16() {
        200..=299 => {}
        status => return Err(AskError::Refused(status)),
    }
    let text = answer.body_mut().read_to_string().map_err(|error| AskError::Unreachable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|_| AskError::NotJson)
}
