//! The stable codes. A code is never renamed: scripts and other programs read them.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warn,
    Error,
}

impl Severity {
    /// The value in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Warn => "warn",
            Severity::Error => "error",
        }
    }
}

/// Declares the codes: the variant, its name and its severity.
macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident,)+) => {
        /// The kind of a failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)+
                }
            }

            pub const fn severity(self) -> Severity {
                match self {
                    $(Code::$variant => Severity::$severity,)+
                }
            }
        }
    };
}

codes! {
    SpawnNotFound "MCPX_STDIO_SPAWN_ENOENT" Error,
    SpawnDenied "MCPX_STDIO_SPAWN_EACCES" Error,
    SpawnFormat "MCPX_STDIO_SPAWN_EXEC_FORMAT" Error,
    InterpreterMissing "MCPX_STDIO_INTERPRETER_MISSING" Error,
    WorkingDirectory "MCPX_STDIO_WORKING_DIR" Error,
    ExitNonzero "MCPX_STDIO_EXIT_NONZERO" Error,
    ExitBeforeInitialize "MCPX_STDIO_EXIT_BEFORE_INITIALIZE" Error,
    Exited "MCPX_STDIO_EXITED" Error,
    HandshakeTimeout "MCPX_STDIO_HANDSHAKE_TIMEOUT" Error,
    HandshakeInvalid "MCPX_STDIO_HANDSHAKE_INVALID" Error,
    ProtocolVersion "MCPX_MCP_PROTOCOL_VERSION" Error,
    InitializeRejected "MCPX_MCP_INITIALIZE_REJECTED" Error,
    ListFailed "MCPX_MCP_LIST_FAILED" Error,
    NoPong "MCPX_MCP_PING_TIMEOUT" Warn,
    LoginRequired "MCPX_OAUTH_LOGIN_REQUIRED" Warn,
    ReauthRequired "MCPX_OAUTH_REAUTH_REQUIRED" Error,
    RefreshExpired "MCPX_OAUTH_REFRESH_EXPIRED" Error,
    RefreshRefused "MCPX_OAUTH_REFRESH_403" Error,
    DiscoveryFailed "MCPX_OAUTH_DISCOVERY_FAILED" Error,
    RegistrationRefused "MCPX_OAUTH_REGISTRATION_REFUSED" Error,
    CallbackTimeout "MCPX_OAUTH_CALLBACK_TIMEOUT" Warn,
    CallbackMismatch "MCPX_OAUTH_CALLBACK_MISMATCH" Error,
    SignInFailed "MCPX_OAUTH_SIGN_IN_FAILED" Error,
    DnsFailed "MCPX_HTTP_DNS_FAILED" Error,
    TlsFailed "MCPX_HTTP_TLS_FAILED" Error,
    Http401 "MCPX_HTTP_401" Error,
    Http403 "MCPX_HTTP_403" Error,
    Http404 "MCPX_HTTP_404" Error,
    Http4xx "MCPX_HTTP_4XX" Error,
    Http429 "MCPX_HTTP_429" Warn,
    Http5xx "MCPX_HTTP_5XX" Warn,
    HttpRedirect "MCPX_HTTP_REDIRECT" Error,
    HttpTimeout "MCPX_HTTP_TIMEOUT" Warn,
    ConnectionRefused "MCPX_HTTP_CONN_REFUSED" Error,
    ConnectionLost "MCPX_HTTP_CONN_LOST" Warn,
    HttpNotMcp "MCPX_HTTP_NOT_MCP" Error,
    DockerDown "MCPX_DOCKER_DAEMON_DOWN" Error,
    DockerPull "MCPX_DOCKER_IMAGE_PULL_FAILED" Error,
    DockerDenied "MCPX_DOCKER_NO_PERMISSION" Error,
    DockerMissing "MCPX_DOCKER_CLI_NOT_FOUND" Error,
    DockerNoProgram "MCPX_DOCKER_EXEC_NOT_FOUND" Error,
    DockerRuntime "MCPX_DOCKER_OCI_RUNTIME" Error,
    DockerSnap "MCPX_DOCKER_SNAP_APPARMOR" Warn,
    IsolationRefused "MCPX_ISOLATION_REFUSED" Error,
    SandboxDenied "MCPX_ISOLATION_DENIED" Error,
    ConfigParse "MCPX_CONFIG_PARSE_ERROR" Error,
    MissingSecret "MCPX_CONFIG_MISSING_SECRET" Error,
    InvalidEntry "MCPX_CONFIG_INVALID_ENTRY" Error,
    DeprecatedField "MCPX_CONFIG_DEPRECATED_FIELD" Warn,
    PortInUse "MCPX_CONFIG_PORT_IN_USE" Error,
    KeychainLocked "MCPX_KEYCHAIN_LOCKED" Error,
    KeychainMissing "MCPX_KEYCHAIN_UNAVAILABLE" Error,
    PendingApproval "MCPX_QUARANTINE_PENDING_APPROVAL" Warn,
    ToolChanged "MCPX_QUARANTINE_TOOL_CHANGED" Warn,
    ProxyMisconfigured "MCPX_NETWORK_PROXY_MISCONFIG" Warn,
    Offline "MCPX_NETWORK_OFFLINE" Error,
    UpdateList "MCPX_UPDATE_APPCAST_FAILED" Warn,
    UpdateDownload "MCPX_UPDATE_DOWNLOAD_FAILED" Warn,
    UpdateInstall "MCPX_UPDATE_INSTALL_FAILED" Warn,
    UpdateOther "MCPX_UPDATE_OTHER_FAILED" Warn,
    Unclassified "MCPX_UNKNOWN_UNCLASSIFIED" Error,
}

impl Code {
    /// The code with this name, in any case.
    pub fn of_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_of_one_form() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let name = code.name();
            let is_valid = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            assert!(is_valid && name.starts_with("MCPX_"), "{name}");
            assert_eq!(Code::of_name(&name.to_lowercase()), Some(*code));
        }
        assert_eq!(Code::of_name("MCPX_NO_SUCH_CODE"), None);
    }
}
