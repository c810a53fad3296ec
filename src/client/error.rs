//! Why a call failed, in a person's words.

use std::io;

/// What went wrong between this program and a core.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens there.
    #[error("no core answers at `{0}`")]
    NotRunning(String),
    /// Somebody listens and does not answer in time.
    #[error("the core at `{endpoint}` did not answer within {seconds} s")]
    Timeout { endpoint: String, seconds: u64 },
    /// The core wants another API key.
    #[error("the core refused the API key")]
    Unauthorized,
    /// The core refused, and said why.
    #[error("{message} (HTTP {code})")]
    Status { code: u16, message: String },
    /// The answer is not what the interface promises.
    #[error("the core sent an answer that cannot be read: {0}")]
    Garbage(String),
    /// The connection failed, or broke.
    #[error("the connection to the core failed: {0}")]
    Io(#[from] io::Error),
}

impl CallError {
    /// Whether nobody listens there: only then may another core be started.
    pub fn is_not_running(&self) -> bool {
        matches!(self, CallError::NotRunning(_))
    }

    pub(super) fn from_connect(endpoint: &str, error: io::Error) -> CallError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::NotRunning(endpoint.to_owned()),
            _ => CallError::Io(error),
        }
    }

    pub(super) fn from_answer(code: u16, body: &[u8]) -> CallError {
        if code == 401 {
            return CallError::Unauthorized;
        }
        CallError::Status {
            code,
            message: sentence(body).unwrap_or_else(|| "the core refused and did not say why".to_owned()),
        }
    }
}

/// The error's text, with or without the envelope: both are in use.
fn sentence(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = ["error", "message"].iter().find_map(|key| value.get(key)?.as_str())?;
    let text: String = text.chars().take(500).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(code: u16, body: &str) -> String {
        CallError::from_answer(code, body.as_bytes()).to_string()
    }

    #[test]
    fn the_cores_own_words_are_kept_in_either_shape() {
        assert_eq!(message(404, r#"{"success":false,"error":"no such server"}"#), "no such server (HTTP 404)");
        assert_eq!(message(400, r#"{"success":false,"message":"bad name"}"#), "bad name (HTTP 400)");
    }

    #[test]
    fn an_answer_without_words_still_has_some() {
        assert_eq!(message(500, "<html>"), "the core refused and did not say why (HTTP 500)");
        assert_eq!(message(401, ""), "the core refused the API key");
    }
}
