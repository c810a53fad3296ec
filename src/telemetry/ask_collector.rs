//! Asks the collector which data it stores about this installation, or asks it to delete that data.

use std::time::Duration;

use serde_json::{Value, json};

use crate::os::https::{RequestError, Url, post_json};
use crate::telemetry::payload::AnonymousId;

/// Time limit of the whole request. Deleting waits for the collector's database.
const LIMIT: Duration = Duration::from_secs(45);
/// Maximum size of an answer in bytes: many years of reports.
const LARGEST: usize = 10 << 20;

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

/// Posts the id, which is the only proof of ownership, and returns the answer. Needs at most 45 s.
///
/// # Errors
/// [`AskError`].
pub async fn ask_collector(url: &Url, id: &AnonymousId) -> Result<Value, AskError> {
    let body = json!({"anonymous_id": id.as_str()}).to_string();
    let unreachable = |error: RequestError| AskError::Unreachable(error.to_string());
    let answer = post_json(url, body.into_bytes(), LIMIT).await.map_err(unreachable)?;
    match answer.status {
        200..=299 => {}
        status => return Err(AskError::Refused(status)),
    }
    let text = answer.body(LARGEST).await.map_err(unreachable)?;
    serde_json::from_slice(&text).map_err(|_| AskError::NotJson)
}
