//! In which kind of session a server is spoken to, and what it means that it took none.

use rmcp::model::{ErrorCode, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode};

use crate::upstream::connect_error::ConnectError;
use crate::upstream::transport::http_error;

/// Which kind of session is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// With `initialize`, which servers that know both answer, too.
    Before,
    /// 2026-07-28, which has none.
    Newest,
}

impl Lifecycle {
    /// How the library opens it.
    pub fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Lifecycle::Before => ClientLifecycleMode::Initialize,
            Lifecycle::Newest => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        }
    }

    /// What it means that a server took no session of this kind.
    pub fn refused(self, error: &ClientInitializeError, trouble: ConnectError) -> ConnectError {
        match (self, trouble) {
            (Lifecycle::Before, ConnectError::Failed(said)) if wants_the_newest(error) => {
                ConnectError::NoInitialize(said)
            }
            (_, trouble) => trouble,
        }
    }
}

/// Whether a server may only know the revision without `initialize`: it answered, and did not take that.
fn wants_the_newest(error: &ClientInitializeError) -> bool {
    match error {
        ClientInitializeError::JsonRpcError(error) => matches!(
            error.code,
            ErrorCode::METHOD_NOT_FOUND
                | ErrorCode::INVALID_REQUEST
                | ErrorCode::INVALID_PARAMS
                | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
                | ErrorCode::HEADER_MISMATCH
        ),
        ClientInitializeError::UncorrelatedErrorResponse { .. } => true,
        other => http_error::is_refusal(other),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::ErrorData;

    use super::*;

    fn refused(revision: Lifecycle, code: ErrorCode) -> ConnectError {
        let error = ClientInitializeError::JsonRpcError(ErrorData::new(code, "no", None));
        revision.refused(&error, ConnectError::Failed("no".to_owned()))
    }

    #[test]
    fn only_a_server_that_answered_and_only_once_is_tried_without_initialize() {
        for code in [
            ErrorCode::METHOD_NOT_FOUND,
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            ErrorCode::INVALID_PARAMS,
        ] {
            assert!(matches!(refused(Lifecycle::Before, code), ConnectError::NoInitialize(_)), "{code:?}");
            assert!(matches!(refused(Lifecycle::Newest, code), ConnectError::Failed(_)), "{code:?}");
        }
        assert!(matches!(refused(Lifecycle::Before, ErrorCode::INTERNAL_ERROR), ConnectError::Failed(_)));
        let gone = ClientInitializeError::ConnectionClosed("gone".to_owned());
        assert!(matches!(
            Lifecycle::Before.refused(&gone, ConnectError::Failed("gone".to_owned())),
            ConnectError::Failed(_)
        ));
        let error = ClientInitializeError::JsonRpcError(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no", None));
        assert!(matches!(Lifecycle::Before.refused(&error, ConnectError::SignIn(None)), ConnectError::SignIn(None)));
    }
}
