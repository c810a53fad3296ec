//! Posts one clean payload to the collector, within ten seconds, and says whether it was accepted.

use std::time::Duration;

use crate::os::https::agent;
use crate::telemetry::collector::Collector;
use crate::telemetry::scan::Clean;

/// For everything together: name, connection, request, answer.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Why a heartbeat was not accepted. Says nothing of the payload.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the collector answered {0}")]
    Refused(u16),
    #[error("the collector could not be reached: {0}")]
    Unreachable(String),
}

/// Posts the bytes as they are. Blocks for up to [`LIMIT`]: call it on a thread that may.
///
/// A redirect is not followed, since the payload was cleared for this collector and no other; the body of the answer is
/// not read.
///
/// # Errors
/// Anything but a 2xx answer within the limit.
pub fn send_heartbeat(collector: &Collector, payload: &Clean) -> Result<(), SendError> {
    let url = collector.heartbeat_url();
    let answer = agent(url, LIMIT, 0)
        .post(url.as_str())
        .header("Content-Type", "application/json")
        .send(payload.bytes())
        .map_err(|error| SendError::Unreachable(error.to_string()))?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(SendError::Refused(status)),
    }
}
