//! The kind of an error that a server returned to `initialize`.

use rmcp::model::ErrorCode;

use crate::diagnostics::fault::Fault;

/// The kind of a JSON-RPC error in place of the result of `initialize`.
pub fn rejection(code: ErrorCode) -> Fault {
    match code {
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => Fault::ProtocolVersion,
        _ => Fault::InitializeRejected,
    }
}
