//! Finds the running core for a command, or edits the configuration file when none runs.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::client::{CallError, Client};
use crate::config::document::{Document, EditError};
use crate::config::store::StoreError;
use crate::contract::endpoint::{Endpoint, LocalAddress, LocalAddressOverrides, client_host};
use crate::contract::exit_code::ExitCode;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::user_name;
use crate::os::files;
use crate::os::lock::{Attempt, Lock};
use crate::server::startup_error::cannot_write;

/// The connection to the core, if one runs.
pub struct CoreLink {
    local: LocalAddress,
    client: Option<Client>,
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
        for endpoint in endpoints {
            let client = Client::new(endpoint, "cli", env!("CARGO_PKG_VERSION"));
            // Not `/ready`, which another program or another instance may answer over TCP without the key.
            if client.get::<crate::contract::api::Status>("/api/v1/status").await.is_ok() {
                return CoreLink {
                    local,
                    client: Some(client),
                };
            }
        }
        CoreLink { local, client: None }
    }

    /// The running core.
    pub fn running(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The instance's local address.
    pub fn local_address(&self) -> &LocalAddress {
        &self.local
    }

    /// Edits the configuration file while no core runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn edit_file(
        &self,
        context: &Context,
        change: impl Fn(&mut Document) -> Result<(), EditError>,
    ) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io {
            path: context.store.path().to_path_buf(),
            operation: "write",
            source,
        };
        files::create_private_dir(context.root.path()).map_err(failed)?;
        let _no_core = match Lock::attempt(&context.root.core_lock()).map_err(failed)? {
            Attempt::Held(lock) => lock,
            Attempt::Taken { .. } => {
                let text = "MCPProxy is running but not responding; try again in a moment";
                return Err(failed(std::io::Error::other(text)));
            }
        };
        context.store.load_or_create()?;
        context.store.edit(change)?;
        Ok(())
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
        _ => ("OPERATION_FAILED", ExitCode::Configuration),
    };
    CliError {
        exit,
        ..CliError::new(code, error.to_string())
    }
}

/// Adds a hint to the core's message about an unknown server or tool.
pub fn missing(error: CallError, name: &str) -> CliError {
    match &error {
        CallError::Status { code: 404, .. } => CliError::new("SERVER_NOT_FOUND", error.to_string())
            .guided(format!("see its tools with `mcpproxy upstream inspect {name}`")),
        _ => error.into(),
    }
}

/// The error of a command that needs a running core.
pub fn no_core() -> CliError {
    CliError::new("DAEMON_NOT_RUNNING", "MCPProxy is not running, so its servers aren't either")
        .guided("start the MCPProxy app, or run `mcpproxy serve`")
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
