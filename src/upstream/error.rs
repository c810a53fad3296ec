//! Why a call, a sign-in or an approval failed.

use std::time::Duration;

use rmcp::service::ServiceError;

use crate::contract::failure::FailureKind;

/// Why a tool was not called, or returned no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no server is named `{server}`; configured servers: {known}")]
    UnknownServer { server: String, known: String },
    #[error("server `{0}` is disabled; the user can enable it in MCPProxy")]
    Disabled(String),
    #[error("server `{0}` needs approval: the user must approve it in MCPProxy before its tools can be called")]
    Quarantined(String),
    #[error(
        "server `{0}` requires sign-in: the user can sign in from the MCPProxy menu or with `mcpproxy upstream login {0}`"
    )]
    SignInNeeded(String),
    #[error("server `{0}` is starting; retry in a moment")]
    Connecting(String),
    #[error("server `{server}` is not connected: {reason}")]
    NotConnected { server: String, reason: String },
    #[error("server `{server}` has no tool `{tool}`; find the right name with retrieve_tools")]
    UnknownTool { server: String, tool: String },
    #[error(
        "tool `{tool}` of server `{server}` {} and needs approval by the user in MCPProxy",
        if *changed { "has changed since it was approved" } else { "is new" }
    )]
    PendingTool {
        server: String,
        tool: String,
        changed: bool,
    },
    #[error(
        "tool `{tool}` of server `{server}` is disabled; the user can enable it with `mcpproxy tools enable {server}:{tool}`"
    )]
    SwitchedOff { server: String, tool: String },
    #[error("server `{server}` is busy: retry in {} s", retry_in.as_secs())]
    Busy { server: String, retry_in: Duration },
    #[error("server `{server}` did not answer within {} s", limit.as_secs())]
    Timeout { server: String, limit: Duration },
    #[error("server `{server}` ended during the call and is restarting")]
    Ended { server: String },
    /// The server's own JSON-RPC error.
    #[error("{0}")]
    Upstream(rmcp::ErrorData),
    /// The request cannot be forwarded: an error of MCPProxy, not of the server.
    #[error("{0}")]
    Refused(rmcp::ErrorData),
    #[error("the call to server `{server}` failed: {error}")]
    Other { server: String, error: String },
}

impl CallError {
    /// The kind that decides how each protocol reports it.
    pub fn kind(&self) -> FailureKind {
        match self {
            CallError::UnknownServer { .. } | CallError::UnknownTool { .. } => FailureKind::NotFound,
            CallError::Disabled(_) | CallError::SwitchedOff { .. } => FailureKind::Denied,
            CallError::Quarantined(_) | CallError::PendingTool { .. } => FailureKind::NeedsApproval,
            CallError::SignInNeeded(_)
            | CallError::Connecting(_)
            | CallError::NotConnected { .. }
            | CallError::Busy { .. } => FailureKind::Unavailable,
            CallError::Timeout { .. } => FailureKind::Timeout,
            CallError::Refused(_) => FailureKind::Invalid,
            CallError::Ended { .. } | CallError::Upstream(_) | CallError::Other { .. } => FailureKind::Upstream,
        }
    }

    /// Whether the server or the tool needs approval.
    pub fn needs_approval(&self) -> bool {
        self.kind() == FailureKind::NeedsApproval
    }

    /// Whether the user has blocked the call.
    pub fn is_blocked(&self) -> bool {
        matches!(self.kind(), FailureKind::NeedsApproval | FailureKind::Denied)
    }
}

/// Why a request has no result although it was sent.
pub fn not_answered(server: &str, error: ServiceError) -> CallError {
    match error {
        ServiceError::McpError(error) => CallError::Upstream(error),
        error => CallError::Other {
            server: server.to_owned(),
            error: error.to_string(),
        },
    }
}

/// Why a sign-in did not begin.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("no server is named `{0}`: not found")]
    UnknownServer(String),
    #[error("{0}")]
    NotPossible(String),
    #[error("{0}")]
    Failed(String),
}

impl SignInError {
    /// The kind that decides how each protocol reports it.
    pub fn kind(&self) -> FailureKind {
        match self {
            SignInError::UnknownServer(_) => FailureKind::NotFound,
            SignInError::NotPossible(_) | SignInError::Failed(_) => FailureKind::Invalid,
        }
    }
}

/// Why an approval failed.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    #[error("no server is named `{0}`")]
    UnknownServer(String),
    #[error("server `{server}` has no tool `{tool}` at the moment; a server lists its tools while it is connected")]
    UnknownTool { server: String, tool: String },
    #[error("{} of server `{server}` changed since it was shown: review it again", tools.join(", "))]
    Changed { server: String, tools: Vec<String> },
    #[error("could not save the approval: {0}")]
    Io(#[from] std::io::Error),
}

impl ApproveError {
    /// The kind that decides how each protocol reports it.
    pub fn kind(&self) -> FailureKind {
        match self {
            ApproveError::UnknownServer(_) | ApproveError::UnknownTool { .. } => FailureKind::NotFound,
            ApproveError::Changed { .. } => FailureKind::Conflict,
            ApproveError::Io(_) => FailureKind::Internal,
        }
    }
}
