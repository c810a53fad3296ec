//! Finds the running core for a command, or edits the configuration file when none runs.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::client::{CallError, Client};
use crate::config::document::{Document, EditError};
use crate::config::store::StoreError;
use crate::contract::endpoint::{Endpoint, LocalAddress, LocalAddressOverrides, client_host};
use crate::contract::exit_code::ExitCode;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::control::history;
use crate::control::servers::Origin;
use crate::os::environment::user_name;
use crate::os::files;
use crate::os::lock::{Attempt, Lock};
use crate::server::startup_error::cannot_write;

/// The connection to the core, if one runs.
pub struct CoreLink {
    local: LocalAddress,
    core: Core,
}

/// Whether a core runs.
enum Core {
    Running(Box<Client>),
    /// Something accepts connections, but does not answer like a core of this instance.
    NotResponding(CallError),
    NotRunning,
}

impl CoreLink {
    /// Tries the local address, then TCP with the configured key.
    pub async fn find(context: &Context) -> CoreLink {
        let overrides = LocalAddressOverrides {
            socket_path: context.environment.get(names::ENV_SOCKET_PATH),
            endpoint_url: context.environment.get(names::ENV_TRAY_ENDPOINT),
        };
        let local = LocalAddress::of(Platform::HOST, &context.root, &user_name(), overrides);
        let mut endpoints = vec![Endpoint::Local(local.clone())];
        if let Ok(config) = context.store.load() {
            let key = context.environment.non_empty(names::ENV_API_KEY).map(str::to_owned).or(config.api_key);
            let listen = context.environment.non_empty(names::ENV_LISTEN).unwrap_or(&config.listen);
            if let Some(key) = key.filter(|key| !key.is_empty()) {
                endpoints.push(Endpoint::Tcp {
                    address: client_host(listen),
                    key,
                });
            }
        }
        let mut problem = None;
        for endpoint in endpoints {
            let is_local = matches!(endpoint, Endpoint::Local(_));
            let client = Client::new(endpoint, "cli", env!("CARGO_PKG_VERSION"));
            // Not `/ready`, which another program or another instance may answer over TCP without the key.
            match client.get::<crate::contract::api::Status>("/api/v1/status").await {
                Ok(_) => {
                    let core = Core::Running(Box::new(client));
                    return CoreLink { local, core };
                }
                // Over TCP, another program may use the port. The local address belongs to this instance.
                Err(error) if is_local && !error.is_not_running() => problem = Some(error),
                Err(_) => {}
            }
        }
        let core = problem.map_or(Core::NotRunning, Core::NotResponding);
        CoreLink { local, core }
    }

    /// The running core.
    pub fn running(&self) -> Option<&Client> {
        match &self.core {
            Core::Running(client) => Some(client),
            Core::NotResponding(_) | Core::NotRunning => None,
        }
    }

    /// Why a core that runs does not answer.
    pub fn problem(&self) -> Option<&CallError> {
        match &self.core {
            Core::NotResponding(error) => Some(error),
            Core::Running(_) | Core::NotRunning => None,
        }
    }

    /// The running core, for a command that needs one.
    ///
    /// # Errors
    /// [`CliError`]: none runs, or it does not respond.
    pub fn require(&self) -> Result<&Client, CliError> {
        match &self.core {
            Core::Running(client) => Ok(client),
            Core::NotResponding(error) => {
                Err(CliError::new("TIMEOUT", format!("MCPProxy is running but not responding: {error}"))
                    .guided(NOT_RESPONDING_HELP))
            }
            Core::NotRunning => Err(CliError::new("DAEMON_NOT_RUNNING", "MCPProxy is not running")
                .guided("start the MCPProxy app, or run `mcpproxy serve`")),
        }
    }

    /// Fails if a core runs but does not respond, for a command that also works without a core.
    ///
    /// # Errors
    /// [`CliError`].
    pub fn require_response(&self) -> Result<(), CliError> {
        match self.problem() {
            Some(_) => self.require().map(|_| ()),
            None => Ok(()),
        }
    }

    /// The instance's local address.
    pub fn local_address(&self) -> &LocalAddress {
        &self.local
    }

    /// Edits the configuration file. Commands that edit at the same time wait for each other; a core that starts meanwhile
    /// reads the result.
    ///
    /// # Errors
    /// [`StoreError`]; also if a core runs but does not respond.
    pub fn edit_file(
        &self,
        context: &Context,
        change: impl Fn(&mut Document) -> Result<(), EditError>,
    ) -> Result<(), StoreError> {
        if let Some(problem) = self.problem() {
            return Err(StoreError::NotResponding {
                path: context.store.path().to_path_buf(),
                problem: problem.to_string(),
            });
        }
        let failed = |source| StoreError::Io {
            path: context.store.path().to_path_buf(),
            operation: "write",
            source,
        };
        files::create_private_dir(context.root.path()).map_err(failed)?;
        let _alone = wait_for_lock(&context.root.path().join(EDIT_LOCK)).map_err(failed)?;
        context.store.load_or_create()?;
        context.store.edit(|document| {
            let before = document.clone();
            change(document)?;
            history::record(&before, document, &Origin::Person("command line").to_string())
        })?;
        Ok(())
    }
}

/// The advice about a core that runs but does not respond.
const NOT_RESPONDING_HELP: &str = "see `mcpproxy logs`, or restart MCPProxy";
/// The lock of commands that edit the configuration file. Not the core's own lock, which would keep a core from starting.
const EDIT_LOCK: &str = "edit.lock";
/// How long to wait for other commands.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

fn wait_for_lock(path: &Path) -> std::io::Result<Lock> {
    let started = Instant::now();
    loop {
        if let Attempt::Held(lock) = Lock::attempt(path)? {
            return Ok(lock);
        }
        if started.elapsed() > LOCK_TIMEOUT {
            return Err(std::io::Error::other("another command has been editing it for 30 s"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Turns a configuration error into a command's error.
pub fn config_error(error: &StoreError) -> CliError {
    let (code, exit) = match error {
        StoreError::Edit(EditError::Unknown(_)) => ("SERVER_NOT_FOUND", ExitCode::General),
        StoreError::Edit(EditError::Exists(_) | EditError::LastOne(_)) => ("INVALID_INPUT", ExitCode::General),
        StoreError::Io { source, path, .. } if cannot_write(source) => {
            let error = CliError::new("PERMISSION_DENIED", error.to_string()).guided(files::remedy(path, source));
            return CliError {
                exit: ExitCode::Permission,
                ..error
            };
        }
        StoreError::NotResponding { .. } => {
            return CliError::new("TIMEOUT", error.to_string()).guided(NOT_RESPONDING_HELP);
        }
        _ => ("OPERATION_FAILED", ExitCode::Configuration),
    };
    CliError {
        exit,
        ..CliError::new(code, error.to_string())
    }
}

/// Adds a hint to the core's message about an unknown server or tool.
pub fn missing(error: CallError, name: &str) -> CliError {
    let unknown = not_found(name);
    match &error {
        CallError::Status { code: 404, .. } if error.to_string() == unknown.message => unknown,
        CallError::Status { code: 404, .. } => CliError::new("SERVER_NOT_FOUND", error.to_string())
            .guided(format!("see its tools with `mcpproxy upstream inspect {name}`")),
        _ => error.into(),
    }
}

/// The error for a server that does not exist.
pub fn not_found(name: &str) -> CliError {
    CliError::new("SERVER_NOT_FOUND", format!("no server is named `{name}`"))
        .guided("see all servers with `mcpproxy upstream list`")
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> CliError {
        let code = match &error {
            CallError::NotRunning { .. } => "DAEMON_NOT_RUNNING",
            CallError::Timeout { .. } => "TIMEOUT",
            CallError::Unauthorized { .. } => "AUTH_REQUIRED",
            CallError::Status { .. } => "OPERATION_FAILED",
            _ => "CONNECTION_FAILED",
        };
        CliError::new(code, error.to_string())
    }
}
