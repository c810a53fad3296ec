//! Opens a session with one server: starts or reaches it, initializes it and lists its tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::Tool;
use rmcp::service::{ClientInitializeError, ClientServiceExt, RoleClient, RunningService};
use rmcp::transport::auth::AuthorizationManager;
use tokio::sync::{Notify, oneshot};

use crate::config::{Protocol, ServerConfig};
use crate::diagnostics::fault::{Failure, Fault};
use crate::upstream::connect_error::ConnectError;
use crate::upstream::exit::{Exit, Stage};
use crate::upstream::isolation::plan::Choice;
use crate::upstream::list::list_tools;
use crate::upstream::oauth;
use crate::upstream::process::{Process, Spawned, spawn};
use crate::upstream::rejection::{not_mcp, rejection};
use crate::upstream::server_handles::ServerHandles;
use crate::upstream::session::client_handler::Client;
use crate::upstream::session::in_flight::SharedInFlight;
use crate::upstream::session::protocol_version::Lifecycle;
use crate::upstream::session::router::RoutingTransport;
use crate::upstream::snapshot::Attempt;
use crate::upstream::start_error;
use crate::upstream::stderr_tail::StderrTail;
use crate::upstream::transport::stdio::{self, StdioFastPath};
use crate::upstream::transport::stray_output::{DEFAULT_LIMIT, StrayOutput};
use crate::upstream::transport::{http, http_error, legacy_sse};
use crate::upstream::waiting::ServerStep;

/// How long a program may take to answer `initialize`: a first start may download a package.
pub const FIRST_START: Duration = Duration::from_secs(180);
/// How long a server that already runs may take.
pub const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// How long the other side may take to close a session.
pub const CLOSE: Duration = Duration::from_secs(2);

/// An open session.
pub struct Session {
    pub protocol: Protocol,
    pub service: RunningService<RoleClient, Client>,
    /// `None` for a server over HTTP.
    pub process: Option<Process>,
    /// Receives the reason when the stream of a server over legacy SSE ends.
    pub end: Option<oneshot::Receiver<String>>,
    pub fast_path: Option<StdioFastPath>,
    pub tools: Vec<Tool>,
    pub changed: Arc<Notify>,
}

impl Session {
    /// Name and version that the server gives itself.
    pub fn identity(&self) -> Option<(String, String)> {
        let info = self.service.peer().peer_info()?;
        let server = info.server_info.as_ref()?;
        Some((server.name.clone(), server.version.clone()))
    }

    /// Closes the session, and ends its process if it has one.
    pub async fn close(self) {
        let Session {
            mut service, process, ..
        } = self;
        let _ = tokio::time::timeout(CLOSE, service.close()).await;
        drop(service);
        if let Some(process) = process {
            process.end().await;
        }
    }
}

/// Opens a session: with `initialize`, then by protocol 2026-07-28, then over legacy SSE.
///
/// # Errors
/// That of the first attempt, which says most about the server.
pub async fn connect(config: &ServerConfig, log: &Path, handles: &ServerHandles) -> Result<Session, ConnectError> {
    let error = match open(config, log, handles, Lifecycle::Initialize).await {
        Err(ConnectError::NoInitialize(error)) => error,
        opened => return opened,
    };
    tracing::info!(server = config.name, "`initialize` rejected; retrying with protocol 2026-07-28");
    match open(config, log, handles, Lifecycle::Discover).await {
        Err(ConnectError::Failed(_) | ConnectError::NoInitialize(_) | ConnectError::Locked(_)) => {}
        opened => return opened,
    }
    let Some(legacy) = config.over_sse() else { return Err(ConnectError::Failed(error)) };
    tracing::info!(server = config.name, "retrying over legacy HTTP+SSE");
    match open(&legacy, log, handles, Lifecycle::Initialize).await {
        Err(ConnectError::Failed(_) | ConnectError::NoInitialize(_) | ConnectError::Locked(_)) => {
            Err(ConnectError::Failed(error))
        }
        opened => opened,
    }
}

async fn open(
    config: &ServerConfig,
    log: &Path,
    handles: &ServerHandles,
    lifecycle: Lifecycle,
) -> Result<Session, ConnectError> {
    let changed = Arc::new(Notify::new());
    let client = Client {
        changed: changed.clone(),
    };
    let session = |(service, tools): Opened| Session {
        protocol: config.effective_protocol(),
        service,
        process: None,
        end: None,
        fast_path: None,
        tools,
        changed,
    };
    match config.effective_protocol() {
        Protocol::Stdio => {
            let (opened, process, fast_path) = start(config, log, handles, client, lifecycle).await?;
            Ok(Session {
                process: Some(process),
                // The fast path writes what only the protocols with `initialize` know.
                fast_path: Some(fast_path).filter(|_| lifecycle == Lifecycle::Initialize),
                ..session(opened)
            })
        }
        Protocol::Sse => {
            let (opened, end) = reach_legacy(config, client, handles).await?;
            Ok(Session {
                end: Some(end),
                ..session(opened)
            })
        }
        _ => reach(config, client, handles, lifecycle).await.map(session),
    }
}

type Opened = (RunningService<RoleClient, Client>, Vec<Tool>);

/// Starts a server's process and opens a session over its streams. A process without a session is ended.
async fn start(
    config: &ServerConfig,
    log: &Path,
    handles: &ServerHandles,
    client: Client,
    lifecycle: Lifecycle,
) -> Result<(Opened, Process, StdioFastPath), ConnectError> {
    let checked = config.clone();
    let reason = tokio::task::spawn_blocking(move || start_error::precheck(&checked)).await.unwrap_or_default();
    if let Some(reason) = reason {
        return Err(reason.into());
    }
    handles.waits(ServerStep::Isolation, None);
    let launch = handles.isolator.prepare(config, log).await?;
    handles.state.send_modify(|state| state.isolation = Some(launch.choice.clone()));
    let program = Some(launch.program.clone()).filter(|_| launch.container.is_none());
    let is_sandboxed = launch.choice == Choice::Sandbox;
    let Spawned {
        mut process,
        stdout,
        stdin,
    } = spawn(&config.name, launch, log).await.map_err(|failure| denied_by_sandbox(failure, is_sandboxed))?;
    let limit = config.init_timeout.unwrap_or(FIRST_START);
    handles.waits(ServerStep::Initialize, Some(limit));
    let attempt = Attempt::new(limit, process.stderr().clone());
    handles.state.send_modify(|state| state.attempt = Some(attempt));
    let in_flight = SharedInFlight::default();
    let stray = StrayOutput::new(config.stray_output_timeout.unwrap_or(DEFAULT_LIMIT));
    let (fast_path, transport) = stdio::open(&config.name, stdout, stdin, in_flight.clone(), stray);
    let transport = RoutingTransport::new(transport, &config.name, in_flight, handles.broadcasts.clone());
    let attempt = async {
        let service = client.serve_with_lifecycle(transport, lifecycle.mode()).await.map_err(|error| {
            let explained = ConnectError::Failed(not_initialized(&error));
            lifecycle.classify(&error, explained)
        })?;
        let fast = Some(&fast_path).filter(|_| lifecycle == Lifecycle::Initialize);
        handles.waits(ServerStep::ToolList, Some(limit));
        let tools = list_tools(service.peer(), fast, &config.name).await.map_err(not_listed)?;
        Ok((service, tools))
    };
    let opened = tokio::select! {
        opened = in_time(limit, false, attempt) => opened,
        exit = process.ended() => {
            Err(ConnectError::failed(exit.fault(Stage::Starting), format!("{EXITED} ({})", exit.text)))
        }
    };
    match opened {
        Ok(opened) => Ok((opened, process, fast_path)),
        Err(error) => {
            let stderr = process.stderr().clone();
            let exit = process.end().await;
            stderr.complete().await;
            let error = with_stderr(error, &exit, &stderr).map(|failure| denied_by_sandbox(failure, is_sandboxed));
            Err(foreign_binary(&config.name, &error, program).await.unwrap_or(error))
        }
    }
}

/// A closed connection usually means that the program has exited: its exit status says more.
fn with_stderr(error: ConnectError, exit: &Exit, stderr: &StderrTail) -> ConnectError {
    let explain = |failure: Failure| {
        let failure = if failure.fault == Fault::ClosedAtStart && !exit.text.is_empty() {
            Failure::new(exit.fault(Stage::Starting), format!("{EXITED} ({})", exit.text))
        } else {
            failure
        };
        failure.map_text(|text| stderr.explain(text))
    };
    error.map(explain)
}

/// Explains a failure that the sandbox of the server may have caused: a program sees no difference between the sandbox and
/// missing permissions.
fn denied_by_sandbox(failure: Failure, is_sandboxed: bool) -> Failure {
    const SIGNS: [&str; 4] = ["permission denied", "operation not permitted", "eacces", "eperm"];
    let has_sign = || {
        let text = failure.text.to_lowercase();
        SIGNS.iter().any(|sign| text.contains(sign))
    };
    let denied = match failure.fault {
        // The file was checked before, so its own permissions allow it.
        Fault::NotExecutable { .. } => true,
        Fault::ExitedAtStart { .. } | Fault::ClosedAtStart => has_sign(),
        _ => false,
    };
    if !is_sandboxed || !denied {
        return failure;
    }
    let first = match failure.fault {
        Fault::NotExecutable { .. } => "could not start the server: its sandbox does not allow the program",
        _ => failure.text.as_str(),
    };
    let hint = "It runs in a sandbox: name the paths that it needs in `isolation.read` or `isolation.write`";
    Failure::new(Fault::SandboxDenied, format!("{first}\n{hint}"))
}

/// Explains the exit of a shell that the system started in place of a program for another processor.
async fn foreign_binary(name: &str, error: &ConnectError, program: Option<PathBuf>) -> Option<ConnectError> {
    const SHELL_ERRORS: [Option<i32>; 3] = [Some(2), Some(126), Some(127)];
    let Fault::ExitedAtStart { status } = error.failure()?.fault else { return None };
    let (name, program) = (name.to_owned(), program.filter(|_| SHELL_ERRORS.contains(&status))?);
    let found = tokio::task::spawn_blocking(move || start_error::foreign_binary(&name, &program)).await;
    found.ok().flatten().map(ConnectError::Failed)
}

const CLOSED: &str = "the server closed its output during startup";
const EXITED: &str = "the server exited during startup";

fn not_initialized(error: &ClientInitializeError) -> Failure {
    match error {
        ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. } => {
            Failure::new(Fault::ClosedAtStart, CLOSED)
        }
        ClientInitializeError::JsonRpcError(error) => {
            Failure::new(rejection(error, false), format!("the server rejected `initialize`: {}", error.message))
        }
        other => {
            let fault = match other {
                ClientInitializeError::NoCompatibleProtocolVersion { .. } => Fault::ProtocolVersion,
                _ => Fault::NotMcp { over_http: false },
            };
            let text = format!("the server did not answer `initialize` like an MCP server: {}", not_mcp(other));
            Failure::new(fault, text)
        }
    }
}

fn not_listed(text: String) -> ConnectError {
    ConnectError::failed(Fault::ListFailed, text)
}

/// Opens a session with a server over HTTP.
async fn reach(
    config: &ServerConfig,
    client: Client,
    handles: &ServerHandles,
    lifecycle: Lifecycle,
) -> Result<Opened, ConnectError> {
    let limit = config.init_timeout.unwrap_or(FIRST_ANSWER);
    handles.waits(ServerStep::Initialize, Some(limit));
    handles.state.send_modify(|state| state.attempt = Some(Attempt::new(limit, StderrTail::default())));
    let attempt = async {
        let (http_client, manager) = http_client(config, handles).await?;
        let transport = http::transport(config, http_client, manager);
        let in_flight = SharedInFlight::default();
        let transport = RoutingTransport::new(transport, &config.name, in_flight, handles.broadcasts.clone());
        let service = client.serve_with_lifecycle(transport, lifecycle.mode()).await;
        let service = service.map_err(|error| lifecycle.classify(&error, http_error::not_opened(config, &error)))?;
        handles.waits(ServerStep::ToolList, Some(limit));
        let tools = list_tools(service.peer(), None, &config.name).await.map_err(not_listed)?;
        Ok((service, tools))
    };
    in_time(limit, true, attempt).await
}

/// Opens a session with a server over legacy HTTP+SSE; returns also where the end of its stream is reported.
async fn reach_legacy(
    config: &ServerConfig,
    client: Client,
    handles: &ServerHandles,
) -> Result<(Opened, oneshot::Receiver<String>), ConnectError> {
    let limit = config.init_timeout.unwrap_or(FIRST_ANSWER);
    handles.waits(ServerStep::Initialize, Some(limit));
    handles.state.send_modify(|state| state.attempt = Some(Attempt::new(limit, StderrTail::default())));
    let attempt = async {
        let (http_client, manager) = http_client(config, handles).await?;
        let (transport, end) = legacy_sse::open(config, http_client, manager)
            .await
            .map_err(|error| http_error::explained(config, &error))?;
        let in_flight = SharedInFlight::default();
        let transport = RoutingTransport::new(transport, &config.name, in_flight, handles.broadcasts.clone());
        // The protocol without `initialize` does not have this transport.
        let service = client.serve_with_lifecycle(transport, Lifecycle::Initialize.mode()).await;
        let service = service.map_err(|error| http_error::not_opened(config, &error))?;
        handles.waits(ServerStep::ToolList, Some(limit));
        let tools = list_tools(service.peer(), None, &config.name).await.map_err(not_listed)?;
        Ok(((service, tools), end))
    };
    in_time(limit, true, attempt).await
}

/// The HTTP client for a server, and what adds the token of the signed-in user to its requests.
async fn http_client(
    config: &ServerConfig,
    handles: &ServerHandles,
) -> Result<(reqwest::Client, AuthorizationManager), ConnectError> {
    let client = http::client(config).map_err(|text| ConnectError::failed(Fault::InvalidEntry, text))?;
    let (manager, provider) = oauth::manager(config, &handles.tokens).await?;
    handles.state.send_modify(|state| state.sign_in.provider = provider);
    Ok((client, manager))
}

async fn in_time<T>(
    limit: Duration,
    over_http: bool,
    attempt: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let outcome = tokio::time::timeout(limit, attempt).await;
    outcome.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        let text = format!("no reply to `initialize` within {seconds} s (is this an MCP server?)");
        Err(ConnectError::failed(Fault::NoReply { seconds, over_http }, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_in_a_sandbox_names_the_sandbox() {
        let exited =
            || Failure::new(Fault::ExitedAtStart { status: Some(1) }, "exited: PermissionError: [Errno 13] EACCES");
        let denied = denied_by_sandbox(exited(), true);
        assert_eq!(denied.fault, Fault::SandboxDenied);
        assert!(denied.text.starts_with("exited: Perm") && denied.text.contains("`isolation.read`"), "{}", denied.text);
        assert_eq!(denied_by_sandbox(exited(), false), exited());
        let other = || Failure::new(Fault::ExitedAtStart { status: Some(1) }, "exited: no token");
        assert_eq!(denied_by_sandbox(other(), true), other());
        let program = "/home/ann/x".to_owned();
        let refused = Failure::new(Fault::NotExecutable { program }, "could not start `x`: Run: chmod +x");
        let refused = denied_by_sandbox(refused, true);
        assert!(refused.text.contains("sandbox does not allow") && !refused.text.contains("chmod"), "{}", refused.text);
    }

    #[test]
    fn a_program_that_exits_is_explained_by_its_status_and_its_last_output() {
        let stderr = StderrTail::default();
        stderr.push(b"KeyError: 'API_TOKEN'\n");
        let exit = Exit {
            status: Some(1),
            text: "exit status: 1".to_owned(),
            container: None,
        };
        let error = with_stderr(ConnectError::failed(Fault::ClosedAtStart, CLOSED), &exit, &stderr);
        let expected = "the server exited during startup (exit status: 1): KeyError: 'API_TOKEN'";
        assert_eq!(error, ConnectError::failed(Fault::ExitedAtStart { status: Some(1) }, expected));
        let locked = ConnectError::Locked("x".into());
        assert_eq!(with_stderr(locked.clone(), &exit, &stderr), locked);
    }
}
