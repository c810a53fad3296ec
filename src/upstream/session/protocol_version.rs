//! In which kind of session a server is spoken to, and what it means that it took none.

use rmcp::model::{ErrorCode, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode};

use crate::upstream::oauth::Trouble;
use crate::upstream::transport::http;

/// Which kind of session is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// With `initialize`, which servers that know both answer, too.
    Before,
    /// 2026-07-28, which has none.
    Newest,
}

impl Revision {
    /// How the library opens it.
    pub fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Revision::Before => ClientLifecycleMode::Initialize,
            Revision::Newest => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        }
    }

    /// What it means that a server took no session of this kind.
    pub fn refused(self, error: &ClientInitializeError, trouble: Trouble) -> Trouble {
        match (self, trouble) {
            (Revision::Before, Trouble::Failed(said)) if wants_the_newest(error) => Trouble::NoInitialize(said),
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
        other => http::is_refusal(other),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::ErrorData;

    use super::*;

    fn refused(revision: Revision, code: ErrorCode) -> Trouble {
        let error = ClientInitializeError::JsonRpcError(ErrorData::new(code, "no", None));
        revision.refused(&error, Trouble::Failed("no".to_owned()))
    }

    #[test]
    fn only_a_server_that_answered_and_only_once_is_tried_without_initialize() {
        for code in [
            ErrorCode::METHOD_NOT_FOUND,
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            ErrorCode::INVALID_PARAMS,
        ] {
            assert!(matches!(refused(Revision::Before, code), Trouble::NoInitialize(_)), "{code:?}");
            assert!(matches!(refused(Revision::Newest, code), Trouble::Failed(_)), "{code:?}");
        }
        assert!(matches!(refused(Revision::Before, ErrorCode::INTERNAL_ERROR), Trouble::Failed(_)));
        let gone = ClientInitializeError::ConnectionClosed("gone".to_owned());
        assert!(matches!(Revision::Before.refused(&gone, Trouble::Failed("gone".to_owned())), Trouble::Failed(_)));
        let error = ClientInitializeError::JsonRpcError(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no", None));
        assert!(matches!(Revision::Before.refused(&error, Trouble::SignIn(None)), Trouble::SignIn(None)));
    }
}
