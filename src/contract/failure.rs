//! Failures and their representation in each protocol: the only table of HTTP statuses, JSON-RPC codes and tool
//! results.

use std::fmt;

use serde_json::Value;

/// The kind of a failure; it decides the code in every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request is invalid; repeating it does not help.
    Invalid,
    /// The caller is not authenticated.
    Unauthenticated,
    /// The system or a setting does not allow it.
    Denied,
    /// The request names something that does not exist.
    NotFound,
    /// The path exists, but not for this method.
    WrongMethod,
    /// No server has the resource.
    NoResource,
    /// The request conflicts with the current state, or something has changed meanwhile.
    Conflict,
    /// The caller sent too many requests.
    TooMany,
    /// The user must approve it first.
    NeedsApproval,
    /// A server is not available now: it is starting, busy, not connected, or requires sign-in.
    Unavailable,
    /// A server did not respond in time.
    Timeout,
    /// A server or another program failed.
    Upstream,
    /// MCPProxy failed.
    Internal,
}

/// The representation of one kind.
struct Codes {
    http: u16,
    json_rpc: i32,
    is_error: bool,
}

/// JSON-RPC 2.0: there is no such method.
const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC 2.0: the parameters are wrong.
const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC 2.0: the request could not be carried out.
const INTERNAL_ERROR: i32 = -32603;
/// MCP: there is no such resource.
const RESOURCE_NOT_FOUND: i32 = -32002;

impl FailureKind {
    /// All kinds.
    pub const ALL: [FailureKind; 13] = [
        FailureKind::Invalid,
        FailureKind::Unauthenticated,
        FailureKind::Denied,
        FailureKind::NotFound,
        FailureKind::WrongMethod,
        FailureKind::NoResource,
        FailureKind::Conflict,
        FailureKind::TooMany,
        FailureKind::NeedsApproval,
        FailureKind::Unavailable,
        FailureKind::Timeout,
        FailureKind::Upstream,
        FailureKind::Internal,
    ];

    fn codes(self) -> Codes {
        let (http, json_rpc, is_error) = match self {
            FailureKind::Invalid => (400, INVALID_PARAMS, true),
            FailureKind::Unauthenticated => (401, INVALID_PARAMS, true),
            FailureKind::Denied => (403, INVALID_PARAMS, true),
            FailureKind::NotFound => (404, INVALID_PARAMS, true),
            FailureKind::WrongMethod => (405, METHOD_NOT_FOUND, true),
            FailureKind::NoResource => (404, RESOURCE_NOT_FOUND, true),
            FailureKind::Conflict => (409, INVALID_PARAMS, true),
            FailureKind::TooMany => (429, INVALID_PARAMS, true),
            // The model must read it and tell the user, but some clients hide errors from the model.
            FailureKind::NeedsApproval => (403, INVALID_PARAMS, false),
            FailureKind::Unavailable => (503, INTERNAL_ERROR, true),
            FailureKind::Timeout => (504, INTERNAL_ERROR, true),
            FailureKind::Upstream => (502, INTERNAL_ERROR, true),
            FailureKind::Internal => (500, INTERNAL_ERROR, true),
        };
        Codes {
            http,
            json_rpc,
            is_error,
        }
    }

    /// Returns the status of an HTTP response.
    pub fn http_status(self) -> u16 {
        self.codes().http
    }

    /// Returns the code of a JSON-RPC error.
    pub fn json_rpc_code(self) -> i32 {
        self.codes().json_rpc
    }

    /// Whether a tool result with this failure is marked as an error.
    pub fn is_tool_error(self) -> bool {
        self.codes().is_error
    }
}

/// A failure with a message for the user or a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    /// Additional data for programs, in a JSON-RPC error.
    pub data: Option<Value>,
}

impl Failure {
    /// Creates a failure without data.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            data: None,
        }
    }

    /// Creates a failure with data.
    #[must_use]
    pub fn with(self, data: Value) -> Failure {
        Failure {
            data: Some(data),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_an_error_in_every_protocol() {
        for kind in FailureKind::ALL {
            assert!((400..600).contains(&kind.http_status()), "{kind:?}");
            assert!((-32768..=-32000).contains(&kind.json_rpc_code()), "{kind:?}");
        }
        let silent: Vec<_> = FailureKind::ALL.into_iter().filter(|kind| !kind.is_tool_error()).collect();
        assert_eq!(silent, [FailureKind::NeedsApproval], "a model must see it and tell the user");
    }

    #[test]
    fn the_caller_is_at_fault_in_all_protocols_or_in_none() {
        for kind in FailureKind::ALL {
            let by_http = kind.http_status() < 500;
            assert_eq!(by_http, kind.json_rpc_code() != INTERNAL_ERROR, "{kind:?}");
        }
    }
}
