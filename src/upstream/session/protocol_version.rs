//! Which kind of session is opened with a server, and what its refusal means.

use rmcp::model::{ErrorCode, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode};

use crate::upstream::connect_error::ConnectError;
use crate::upstream::transport::http_error;

/// How a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// With `initialize`; servers that know both ways answer it, too.
    Initialize,
    /// With `server/discover`, as in protocol 2026-07-28, which has no `initialize`.
    Discover,
}

impl Lifecycle {
    /// The library's mode for it.
    pub fn mode(self) -> ClientLifecycleMode {
        match self {
            Lifecycle::Initialize => ClientLifecycleMode::Initialize,
            Lifecycle::Discover => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        }
    }

    /// Marks an error after which the other way is worth a try.
    pub fn classify(self, error: &ClientInitializeError, explained: ConnectError) -> ConnectError {
        match (self, explained) {
            (Lifecycle::Initialize, ConnectError::Failed(text)) if rejects_initialize(error) => {
                ConnectError::NoInitialize(text)
            }
            (_, explained) => explained,
        }
    }
}

/// Whether a server answered and rejected `initialize`: it may only know the protocol without it.
fn rejects_initialize(error: &ClientInitializeError) -> bool {
    match error {
        ClientInitializeError::JsonRpcError(error) => matches!(
            error.code,
            ErrorCode::METHOD_NOT_FOUND
                | ErrorCode::INVALID_REQUEST
                | ErrorCode::INVALID_PARAMS
                | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
                | ErrorCode::HEADER_MISMATCH
                // The generic error of the official servers
                | ErrorCode(-32000)
        ),
        ClientInitializeError::UncorrelatedErrorResponse { .. } => true,
        other => http_error::is_refusal(other),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::ErrorData;

    use super::*;

    fn classified(lifecycle: Lifecycle, code: ErrorCode) -> ConnectError {
        let error = ClientInitializeError::JsonRpcError(ErrorData::new(code, "no", None));
        lifecycle.classify(&error, ConnectError::Failed("no".into()))
    }

    #[test]
    fn only_a_server_that_answered_and_only_once_is_tried_without_initialize() {
        for code in [
            ErrorCode::METHOD_NOT_FOUND,
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            ErrorCode::INVALID_PARAMS,
        ] {
            assert!(matches!(classified(Lifecycle::Initialize, code), ConnectError::NoInitialize(_)), "{code:?}");
            assert!(matches!(classified(Lifecycle::Discover, code), ConnectError::Failed(_)), "{code:?}");
        }
        assert!(matches!(classified(Lifecycle::Initialize, ErrorCode::INTERNAL_ERROR), ConnectError::Failed(_)));
        let gone = ClientInitializeError::ConnectionClosed("gone".to_owned());
        let failed = || ConnectError::Failed("gone".into());
        assert!(matches!(Lifecycle::Initialize.classify(&gone, failed()), ConnectError::Failed(_)));
        let error = ClientInitializeError::JsonRpcError(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no", None));
        let sign_in = Lifecycle::Initialize.classify(&error, ConnectError::SignIn(None));
        assert!(matches!(sign_in, ConnectError::SignIn(None)));
    }
}
