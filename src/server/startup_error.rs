//! Errors that prevent the core from starting, each with an exit code and advice.

use std::io;

use crate::config::store::StoreError;
use crate::contract::exit_code::ExitCode;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::os::lock::{Attempt, Lock};
use crate::os::{files, process};

/// Why the core did not start: an exit code, the error, and advice.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct ServeError {
    pub code: ExitCode,
    pub sentence: String,
    pub help: String,
}

pub(super) fn lock_instance(root: &InstanceRoot) -> Result<Lock, ServeError> {
    let failed = |error: &io::Error| ServeError {
        code: ExitCode::Permission,
        sentence: format!("could not use the data directory `{}`: {error}", root.path().display()),
        help: format!("{}, or set {} to another directory", files::remedy(root.path(), error), names::ENV_HOME),
    };
    files::create_private_dir(root.path()).map_err(|error| failed(&error))?;
    files::create_private_dir(&root.logs()).map_err(|error| failed(&error))?;
    match Lock::attempt(&root.core_lock()).map_err(|error| failed(&error))? {
        Attempt::Held(lock) => {
            // Temporary files of killed processes contain copies of the configuration with its API key.
            let removed = files::remove_temporaries(root.path(), process::is_running);
            if removed > 0 {
                tracing::info!(removed, "removed temporary files that killed processes left");
            }
            Ok(lock)
        }
        Attempt::Taken { pid } => {
            let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            Err(ServeError {
                code: ExitCode::StoreLocked,
                sentence: format!("another core{who} is already using `{}`", root.path().display()),
                help: "use that one (`mcpproxy status` shows it), or stop it first".to_owned(),
            })
        }
    }
}

pub(super) fn unusable_config(error: &StoreError) -> ServeError {
    match error {
        StoreError::Io { source, path, .. } if cannot_write(source) => ServeError {
            code: ExitCode::Permission,
            sentence: error.to_string(),
            help: files::remedy(path, source),
        },
        StoreError::Io { .. } => ServeError {
            code: ExitCode::Configuration,
            sentence: error.to_string(),
            help: "the configuration must be a regular file of at most 16 MiB".to_owned(),
        },
        _ => ServeError {
            code: ExitCode::Configuration,
            sentence: error.to_string(),
            help: "correct that place and start again; the file was not changed".to_owned(),
        },
    }
}

pub(super) fn unbound(listen: &str, error: &io::Error) -> ServeError {
    let (code, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            ExitCode::PortInUse,
            format!(
                "stop the program that uses `{listen}`, or choose another port with `--listen` or `listen` in the configuration"
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            ExitCode::Permission,
            "choose a port above 1023 with `--listen` or `listen` in the configuration".to_owned(),
        ),
        _ => (
            ExitCode::Configuration,
            "`--listen` and `listen` in the configuration need an address of this computer, such as 127.0.0.1:8080"
                .to_owned(),
        ),
    };
    let sentence = match error.kind() {
        io::ErrorKind::AddrInUse => format!("could not listen on `{listen}`: the address is already in use"),
        _ => format!("could not listen on `{listen}`: {error}"),
    };
    ServeError { code, sentence, help }
}

/// Whether the error means that this user cannot write there now.
pub fn cannot_write(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded)
}
