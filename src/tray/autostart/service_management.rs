//! The login item through `SMAppService` (macOS 13 and later). Its error codes are ambiguous, so only its status counts
//! (pitfalls B15–B17).

use std::io;
use std::path::{Path, PathBuf};

use smappservice_rs::{AppService, ServiceStatus, ServiceType};

use super::{Click, Status, macos};
use crate::os::environment::Environment;

/// Launch at login for this program.
#[derive(Debug, Clone)]
pub struct Autostart {
    program: PathBuf,
}

impl Autostart {
    /// Launch at login for the running application.
    ///
    /// # Errors
    /// The system's error if the program's path is unknown.
    pub fn of_this_program(_environment: &Environment, _home: &Path) -> io::Result<Autostart> {
        Ok(Autostart {
            program: std::env::current_exe()?,
        })
    }

    /// Reads the state from the system.
    pub fn status(&self) -> Status {
        if let Some(reason) = macos::obstacle(&self.program) {
            return Status::Impossible(reason);
        }
        match service().status() {
            ServiceStatus::Enabled => Status::Enabled,
            ServiceStatus::RequiresApproval => Status::RequiresApproval,
            ServiceStatus::NotRegistered | ServiceStatus::NotFound => Status::Disabled,
        }
    }

    /// Registers this application.
    ///
    /// # Errors
    /// A sentence, if the system's status is then neither enabled nor waiting for approval.
    pub fn enable(&self, _: Click) -> Result<Status, String> {
        let before = self.status();
        if let Status::Impossible(reason) = before {
            return Err(reason);
        }
        let outcome = if before == Status::Disabled { service().register() } else { Ok(()) };
        match (self.status(), outcome) {
            (Status::Disabled, Err(error)) => Err(format!("macOS did not register MCPProxy as a login item: {error}")),
            (Status::Disabled, Ok(())) => Err("macOS did not register MCPProxy as a login item".to_owned()),
            (status, _) => Ok(status),
        }
    }

    /// Removes the registration.
    ///
    /// # Errors
    /// A sentence, if the system's status is then still registered.
    pub fn disable(&self, _: Click) -> Result<Status, String> {
        self.unregister()?;
        Ok(self.status())
    }

    /// Removes the registration when the application is uninstalled.
    ///
    /// # Errors
    /// A sentence, if the system's status is then still registered.
    pub fn unregister(&self) -> Result<(), String> {
        let registered = |status: &Status| matches!(status, Status::Enabled | Status::RequiresApproval);
        if !registered(&self.status()) {
            return Ok(());
        }
        let outcome = service().unregister();
        if registered(&self.status()) {
            let reason = outcome.err().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!("macOS did not remove MCPProxy from the login items{reason}"));
        }
        Ok(())
    }

    /// Does nothing: the system follows a moved application by itself.
    pub fn correct_stale_path(&self) {}
}

fn service() -> AppService {
    AppService::new(ServiceType::MainApp)
}
