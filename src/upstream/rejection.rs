//! The kind of an error that answered `initialize`.

use rmcp::model::{ErrorCode, ErrorData};
use rmcp::service::ClientInitializeError;
use serde_json::json;

use crate::diagnostics::fault::Fault;

/// The member of an error's data that marks an error of ours: the server's response could not be read.
const UNREADABLE: &str = "mcpproxy/unreadable";

/// Characters of what a server sent that are shown.
const LONGEST_REASON: usize = 200;

/// The error that takes the place of a response that could not be read.
pub fn unreadable(text: String) -> ErrorData {
    ErrorData::internal_error(text, Some(json!({UNREADABLE: true})))
}

/// The kind of an error in place of the result of `initialize`.
pub fn rejection(error: &ErrorData, over_http: bool) -> Fault {
    let is_ours = error.data.as_ref().is_some_and(|data| data.get(UNREADABLE).is_some());
    match error.code {
        _ if is_ours => Fault::NotMcp { over_http },
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => Fault::ProtocolVersion,
        _ => Fault::InitializeRejected,
    }
}

/// Describes a response that opens no session, short enough for a message.
pub fn not_mcp(error: &ClientInitializeError) -> String {
    let text = match error {
        ClientInitializeError::ExpectedInitResult(Some(result)) => {
            format!("it sent {}", serde_json::to_string(result).unwrap_or_default())
        }
        other => other.to_string(),
    };
    text.chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CustomResult, ServerResult};

    use super::*;

    #[test]
    fn another_result_is_shown_as_the_server_sent_it() {
        let result =
            ServerResult::CustomResult(CustomResult::new(json!({"protocolVersion": 20_250_618, "x": "y".repeat(500)})));
        let text = not_mcp(&ClientInitializeError::ExpectedInitResult(Some(result)));
        assert!(text.starts_with("it sent {\"protocolVersion\":20250618,"), "{text}");
        assert_eq!(text.chars().count(), LONGEST_REASON);
    }

    #[test]
    fn a_response_that_cannot_be_read_is_not_a_rejection() {
        let error = unreadable("could not read the server's response: <html>".to_owned());
        assert_eq!(rejection(&error, true), Fault::NotMcp { over_http: true });
        let refused = |code| rejection(&ErrorData::new(code, "could not read the server's response", None), false);
        assert_eq!(refused(ErrorCode::INTERNAL_ERROR), Fault::InitializeRejected);
        assert_eq!(refused(ErrorCode::UNSUPPORTED_PROTOCOL_VERSION), Fault::ProtocolVersion);
    }
}
