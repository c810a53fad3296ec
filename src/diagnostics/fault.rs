//! A typed failure of a server, and the code of its kind. The text of a server never decides the code.

use std::fmt;

use crate::diagnostics::code::Code;

/// A failure, with the names that its remedy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The program is in no directory of the PATH that the server gets.
    CommandNotFound {
        command: String,
        path: String,
    },
    NotExecutable {
        program: String,
    },
    /// The program was built for another processor or system, or is not a program.
    WrongFormat {
        program: String,
    },
    /// The first line of a script names an interpreter that does not exist.
    InterpreterMissing {
        program: String,
        interpreter: String,
    },
    WorkingDirectory {
        directory: String,
    },
    /// The process ended before the session was open.
    ExitedAtStart {
        status: Option<i32>,
    },
    /// The server closed its output before the session was open.
    ClosedAtStart,
    /// The process ended although the session was open.
    Exited {
        status: Option<i32>,
    },
    /// No reply to `initialize`.
    NoReply {
        seconds: u64,
        over_http: bool,
    },
    /// The reply is not one of an MCP server.
    NotMcp {
        over_http: bool,
    },
    ProtocolVersion,
    InitializeRejected,
    ListFailed,
    /// A connected server no longer replies to a ping.
    NoPong,
    Http {
        status: u16,
    },
    Dns {
        host: String,
    },
    Tls {
        host: String,
    },
    Refused {
        host: String,
    },
    HttpTimeout {
        host: String,
    },
    Lost {
        host: String,
    },
    Offline {
        host: String,
    },
    /// The connection failed, and an HTTP proxy is set for it.
    Proxy {
        proxy: String,
    },
    LoginRequired,
    ReauthRequired,
    RefreshExpired,
    RefreshRefused,
    DiscoveryFailed,
    RegistrationRefused,
    CallbackTimeout,
    CallbackMismatch,
    SignInFailed,
    /// A container engine, an image or a container; the code says which.
    Container(Code),
    IsolationRefused,
    /// The server could not use a file or a program, and runs in a sandbox.
    SandboxDenied,
    MissingVariable {
        variable: String,
    },
    MissingSecret {
        secret: String,
    },
    InvalidEntry,
    KeychainLocked,
    KeychainUnavailable,
    PendingApproval,
    ToolsPending {
        count: usize,
    },
    ToolsChanged {
        count: usize,
    },
    Unclassified,
}

/// How far an attempt to connect came, for usage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The server did not answer in time.
    Timeout,
    /// The server could not be started or reached.
    Refused,
    /// The server was reached, and no session was opened.
    Handshake,
}

impl Fault {
    /// The code of this kind of failure.
    pub fn code(&self) -> Code {
        match self {
            Fault::CommandNotFound { .. } => Code::SpawnNotFound,
            Fault::NotExecutable { .. } => Code::SpawnDenied,
            Fault::WrongFormat { .. } => Code::SpawnFormat,
            Fault::InterpreterMissing { .. } => Code::InterpreterMissing,
            Fault::WorkingDirectory { .. } => Code::WorkingDirectory,
            Fault::ExitedAtStart { status: Some(0) } | Fault::ClosedAtStart => Code::ExitBeforeInitialize,
            Fault::ExitedAtStart { .. } => Code::ExitNonzero,
            Fault::Exited { .. } => Code::Exited,
            Fault::NoReply { over_http: false, .. } => Code::HandshakeTimeout,
            Fault::NoReply { .. } | Fault::HttpTimeout { .. } => Code::HttpTimeout,
            Fault::NotMcp { over_http: false } => Code::HandshakeInvalid,
            Fault::NotMcp { .. } => Code::HttpNotMcp,
            Fault::ProtocolVersion => Code::ProtocolVersion,
            Fault::InitializeRejected => Code::InitializeRejected,
            Fault::ListFailed => Code::ListFailed,
            Fault::NoPong => Code::NoPong,
            Fault::Http { status } => of_status(*status),
            Fault::Dns { .. } => Code::DnsFailed,
            Fault::Tls { .. } => Code::TlsFailed,
            Fault::Refused { .. } => Code::ConnectionRefused,
            Fault::Lost { .. } => Code::ConnectionLost,
            Fault::Offline { .. } => Code::Offline,
            Fault::Proxy { .. } => Code::ProxyMisconfigured,
            Fault::Container(code) => *code,
            Fault::IsolationRefused => Code::IsolationRefused,
            Fault::SandboxDenied => Code::SandboxDenied,
            Fault::MissingVariable { .. } | Fault::MissingSecret { .. } => Code::MissingSecret,
            Fault::InvalidEntry => Code::InvalidEntry,
            Fault::KeychainLocked => Code::KeychainLocked,
            Fault::KeychainUnavailable => Code::KeychainMissing,
            Fault::PendingApproval | Fault::ToolsPending { .. } => Code::PendingApproval,
            Fault::ToolsChanged { .. } => Code::ToolChanged,
            Fault::Unclassified => Code::Unclassified,
            _ => self.sign_in_code(),
        }
    }

    fn sign_in_code(&self) -> Code {
        match self {
            Fault::LoginRequired => Code::LoginRequired,
            Fault::ReauthRequired => Code::ReauthRequired,
            Fault::RefreshExpired => Code::RefreshExpired,
            Fault::RefreshRefused => Code::RefreshRefused,
            Fault::DiscoveryFailed => Code::DiscoveryFailed,
            Fault::RegistrationRefused => Code::RegistrationRefused,
            Fault::CallbackTimeout => Code::CallbackTimeout,
            Fault::CallbackMismatch => Code::CallbackMismatch,
            _ => Code::SignInFailed,
        }
    }

    /// How far the attempt to connect came; `None` for what the user has to do first, such as a sign-in.
    pub fn connect_failure(&self) -> Option<ConnectFailure> {
        use ConnectFailure::{Handshake, Refused, Timeout};
        Some(match self {
            Fault::NoReply { .. } | Fault::HttpTimeout { .. } => Timeout,
            Fault::CommandNotFound { .. }
            | Fault::NotExecutable { .. }
            | Fault::WrongFormat { .. }
            | Fault::InterpreterMissing { .. }
            | Fault::WorkingDirectory { .. }
            | Fault::Dns { .. }
            | Fault::Refused { .. }
            | Fault::Offline { .. }
            | Fault::Proxy { .. }
            | Fault::Container(_)
            | Fault::IsolationRefused => Refused,
            Fault::Tls { .. }
            | Fault::Lost { .. }
            | Fault::ExitedAtStart { .. }
            | Fault::ClosedAtStart
            | Fault::SandboxDenied
            | Fault::NotMcp { .. }
            | Fault::ProtocolVersion
            | Fault::InitializeRejected
            | Fault::ListFailed
            | Fault::Http { .. }
            | Fault::Unclassified => Handshake,
            _ => return None,
        })
    }
}

fn of_status(status: u16) -> Code {
    match status {
        401 => Code::Http401,
        403 => Code::Http403,
        404 | 405 | 410 => Code::Http404,
        429 => Code::Http429,
        300..=399 => Code::HttpRedirect,
        500..=599 => Code::Http5xx,
        _ => Code::Http4xx,
    }
}

/// A failure: its kind, and its text for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub fault: Fault,
    pub text: String,
}

impl Failure {
    pub fn new(fault: Fault, text: impl Into<String>) -> Failure {
        Failure {
            fault,
            text: text.into(),
        }
    }

    /// The same failure, with its text changed.
    #[must_use]
    pub fn map_text(self, change: impl FnOnce(&str) -> String) -> Failure {
        Failure {
            text: change(&self.text),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::new(Fault::Unclassified, text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        Failure::from(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_http_has_the_code_of_its_kind() {
        for (status, code) in [
            (401, "MCPX_HTTP_401"),
            (403, "MCPX_HTTP_403"),
            (404, "MCPX_HTTP_404"),
            (405, "MCPX_HTTP_404"),
            (418, "MCPX_HTTP_4XX"),
            (429, "MCPX_HTTP_429"),
            (301, "MCPX_HTTP_REDIRECT"),
            (503, "MCPX_HTTP_5XX"),
        ] {
            assert_eq!(Fault::Http { status }.code().name(), code);
        }
    }

    #[test]
    fn an_exit_is_told_from_a_timeout_and_a_missing_program() {
        let kind = |fault: Fault| (fault.code(), fault.connect_failure());
        let missing = Fault::CommandNotFound {
            command: "npx".to_owned(),
            path: String::new(),
        };
        assert_eq!(kind(missing), (Code::SpawnNotFound, Some(ConnectFailure::Refused)));
        let exited = |status| Fault::ExitedAtStart { status };
        assert_eq!(kind(exited(Some(0))), (Code::ExitBeforeInitialize, Some(ConnectFailure::Handshake)));
        assert_eq!(kind(exited(Some(1))), (Code::ExitNonzero, Some(ConnectFailure::Handshake)));
        assert_eq!(exited(None).code(), Code::ExitNonzero, "a signal");
        let slow = |over_http| Fault::NoReply { seconds: 30, over_http };
        assert_eq!(kind(slow(false)), (Code::HandshakeTimeout, Some(ConnectFailure::Timeout)));
        assert_eq!(kind(slow(true)), (Code::HttpTimeout, Some(ConnectFailure::Timeout)));
        assert_eq!(kind(Fault::LoginRequired), (Code::LoginRequired, None));
    }
}
