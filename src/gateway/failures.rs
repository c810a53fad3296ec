//! Converts failures to JSON-RPC errors, using the table in [`crate::contract::failure`].

use rmcp::ErrorData;
use rmcp::model::ErrorCode;

use crate::contract::failure::{Failure, FailureKind};
use crate::upstream::error::CallError;

impl From<Failure> for ErrorData {
    fn from(failure: Failure) -> ErrorData {
        ErrorData::new(ErrorCode(failure.kind.json_rpc_code()), failure.message, failure.data)
    }
}

/// Passes a server's error to the client unchanged.
impl From<CallError> for ErrorData {
    fn from(error: CallError) -> ErrorData {
        match error {
            CallError::Upstream(error) | CallError::Refused(error) => error,
            error => Failure::new(error.kind(), error.to_string()).into(),
        }
    }
}

/// Returns an error about the caller's parameters.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_has_the_code_of_its_kind_and_a_servers_own_error_its_own() {
        let code = |error: CallError| ErrorData::from(error).code;
        assert_eq!(code(CallError::Disabled("s".into())), ErrorCode::INVALID_PARAMS);
        assert_eq!(code(CallError::Ended { server: "s".into() }), ErrorCode::INTERNAL_ERROR);
        let limit = Duration::from_secs(1);
        assert_eq!(
            code(CallError::Timeout {
                server: "s".into(),
                limit
            }),
            ErrorCode::INTERNAL_ERROR
        );
        let own = ErrorData::new(ErrorCode(-32050), "own", None);
        assert_eq!(ErrorData::from(CallError::Upstream(own.clone())), own);
        let missing = Failure::new(FailureKind::NoResource, "gone").with(serde_json::json!({"uri": "x:y"}));
        let missing = ErrorData::from(missing);
        assert_eq!((missing.code, missing.data.unwrap()["uri"].as_str()), (ErrorCode::RESOURCE_NOT_FOUND, Some("x:y")));
    }
}
