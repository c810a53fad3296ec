//! Posts one clean payload to the collector, within ten seconds, and says whether it was accepted.

use std::time::Duration;

use crate::telemetry::anonymity::Clean;
use crate::telemetry::collector::Collector;

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
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        // A proxy of the environment is a person's own choice for HTTPS; loopback never goes through it.
        .proxy(if collector.is_secure() { ureq::Proxy::try_from_env() } else { None })
        .tls_config(tls())
        .build()
        .into();
    let answer = agent
        .post(collector.heartbeat_url())
        .header("Content-Type", "application/json")
        .header("User-Agent", "mcpproxy")
        .send(payload.bytes())
        .map_err(|error| SendError::Unreachable(error.to_string()))?;
    match answer.status().as_u16() {
        200..=299 => Ok(()),
        status => Err(SendError::Refused(status)),
    }
}

/// The system's own TLS on macOS and Windows; Rustls on the others, so that the program links no OpenSSL.
fn tls() -> ureq::tls::TlsConfig {
    let provider = if cfg!(any(windows, target_os = "macos")) {
        ureq::tls::TlsProvider::NativeTls
    } else {
        ureq::tls::TlsProvider::Rustls
    };
    ureq::tls::TlsConfig::builder().provider(provider).build()
}
