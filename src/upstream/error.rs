//! Why a call, a sign-in or an approval failed.

use std::time::Duration;

use rmcp::service::ServiceError;

/// Why a tool was not called, or gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no server is called `{server}`; there are: {known}")]
    UnknownServer { server: String, known: String },
    #[error("server `{0}` is disabled: a person can enable it in MCPProxy")]
    Disabled(String),
    #[error("server `{0}` waits for a person's approval in MCPProxy; its tools cannot be called until then")]
    Quarantined(String),
    #[error("server `{0}` needs a person to sign in: from MCPProxy's menu, or with `mcpproxy upstream login {0}`")]
    SignInNeeded(String),
    #[error("server `{0}` is starting: try again in a moment")]
    Connecting(String),
    #[error("server `{server}` is not connected: {reason}")]
    NotConnected { server: String, reason: String },
    #[error("server `{server}` has no tool `{tool}`: use retrieve_tools to find the right name")]
    UnknownTool { server: String, tool: String },
    #[error(
        "tool `{tool}` of server `{server}` is {}, and waits for a person's approval in MCPProxy",
        if *changed { "not what was approved: it has changed" } else { "new" }
    )]
    PendingTool {
        server: String,
        tool: String,
        changed: bool,
    },
    #[error(
        "tool `{tool}` of server `{server}` is switched off: a person can switch it on with `mcpproxy tools enable {server}:{tool}`"
    )]
    SwitchedOff { server: String, tool: String },
    #[error("server `{server}` did not answer within {} s", limit.as_secs())]
    Timeout { server: String, limit: Duration },
    #[error("server `{server}` ended during the call; it is being started again")]
    Ended { server: String },
    /// The server's own JSON-RPC error, as it is.
    #[error("{0}")]
    Upstream(rmcp::ErrorData),
    /// The request cannot be sent on as it is: an error of ours, not of the server.
    #[error("{0}")]
    Refused(rmcp::ErrorData),
    #[error("the call to server `{server}` failed: {error}")]
    Other { server: String, error: String },
}

impl CallError {
    /// Whether the server or the tool needs approval.
    pub fn needs_approval(&self) -> bool {
        matches!(self, CallError::Quarantined(_) | CallError::PendingTool { .. })
    }

    /// Whether a person does not want the call to be made.
    pub fn is_blocked(&self) -> bool {
        matches!(
            self,
            CallError::Disabled(_)
                | CallError::Quarantined(_)
                | CallError::PendingTool { .. }
                | CallError::SwitchedOff { .. }
        )
    }
}

pub fn not_answered(server: &str, error: ServiceError) -> CallError {
    match error {
        ServiceError::McpError(error) => CallError::Upstream(error),
        error => CallError::Other {
            server: server.to_owned(),
            error: error.to_string(),
        },
    }
}

/// Why no sign-in was begun.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("no server is called `{0}`: not found")]
    UnknownServer(String),
    #[error("{0}")]
    NotPossible(String),
    #[error("{0}")]
    Failed(String),
}

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    #[error("no server is called `{0}`")]
    UnknownServer(String),
    #[error("server `{server}` has no tool `{tool}` now; a tool can be approved while its server is connected")]
    UnknownTool { server: String, tool: String },
    #[error("{} of server `{server}` changed since it was shown: review it again", tools.join(", "))]
    Changed { server: String, tools: Vec<String> },
    #[error("the approval cannot be saved: {0}")]
    Io(#[from] std::io::Error),
}
