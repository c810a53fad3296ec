//! Asks macOS (13 and later) for launch at login: the app itself is the login item.

use std::path::Path;

use smappservice_rs::{AppService, ServiceStatus, ServiceType};

use super::{Consent, Status};
use crate::os::environment::Environment;

/// This app as a login item.
#[derive(Debug, Clone)]
pub struct System {
    program: Result<String, String>,
}

impl System {
    /// The login item of the bundle that `program` is in.
    pub fn new(program: Result<String, String>, _home: &Path, _environment: &Environment) -> System {
        System { program }
    }

    /// What macOS would do at the next login.
    pub fn status(&self) -> Status {
        if let Err(why) = &self.program {
            return Status::Impossible(why.clone());
        }
        match service().status() {
            ServiceStatus::Enabled => Status::Enabled,
            ServiceStatus::RequiresApproval => Status::AwaitingApproval,
            // A bundle that macOS has not seen yet is "not found" until it is registered.
            ServiceStatus::NotRegistered | ServiceStatus::NotFound => Status::Disabled,
        }
    }

    /// Starts MCPProxy at every login from now on.
    ///
    /// # Errors
    /// What macOS says, when it has not done it all the same.
    pub fn enable(&self, _consent: Consent) -> Result<(), String> {
        if let Err(why) = &self.program {
            return Err(why.clone());
        }
        // The library's error drops the domain of the system's error: only the status afterwards tells.
        let result = service().register();
        match (self.status(), result) {
            (Status::Enabled | Status::AwaitingApproval, _) => Ok(()),
            (_, Err(error)) => Err(format!("macOS did not register the login item ({})", error.code())),
            (_, Ok(())) => Err("macOS did not register the login item".to_owned()),
        }
    }

    /// No longer starts MCPProxy at login.
    ///
    /// # Errors
    /// What macOS says, when it has not done it all the same.
    pub fn disable(&self) -> Result<(), String> {
        if self.program.is_err() || self.status() == Status::Disabled {
            return Ok(());
        }
        let result = service().unregister();
        match (self.status(), result) {
            (Status::Enabled, Err(error)) => Err(format!("macOS did not remove the login item ({})", error.code())),
            (Status::Enabled, Ok(())) => Err("macOS did not remove the login item".to_owned()),
            _ => Ok(()),
        }
    }

    /// Nothing to correct: macOS follows a bundle that moves.
    ///
    /// # Errors
    /// None.
    pub fn correct(&self) -> Result<(), String> {
        Ok(())
    }

    /// Where the person can change it, when this program cannot.
    pub fn settings(&self) -> String {
        "x-apple.systempreferences:com.apple.LoginItems-Settings.extension".to_owned()
    }
}

fn service() -> AppService {
    AppService::new(ServiceType::MainApp)
}
