//! Posts one cleared payload to the collector within ten seconds and returns whether the collector accepted it.

use std::time::Duration;

use crate::os::https::post_json;
use crate::telemetry::collector::Collector;
use crate::telemetry::scan::Clean;

/// Time limit for everything: name resolution, connection, request and response.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Why the collector did not accept a heartbeat. Contains nothing of the payload.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the collector answered {0}")]
    Refused(u16),
    #[error("the collector could not be reached: {0}")]
    Unreachable(String),
}

/// Posts the bytes unchanged. Needs at most [`LIMIT`].
///
/// Follows no redirect, because the payload was cleared only for this collector. Ignores the response body.
///
/// # Errors
/// [`SendError`], unless the response is 2xx within the limit.
pub async fn send_heartbeat(collector: &Collector, payload: &Clean) -> Result<(), SendError> {
    let url = collector.heartbeat_url();
    let answer = post_json(url, payload.bytes().to_vec(), LIMIT).await;
    match answer.map_err(|error| SendError::Unreachable(error.to_string()))?.status {
        200..=299 => Ok(()),
        status => Err(SendError::Refused(status)),
    }
}
