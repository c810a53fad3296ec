//! Reads, writes and removes the current user's `Run` value (Windows). Never writes to HKLM (pitfalls B10).

use std::io;
use std::path::{Path, PathBuf};

use auto_launch::{AutoLaunch, WindowsEnableMode};
use windows_registry::CURRENT_USER;

use super::windows::{APPROVED, RUN};
use super::{Click, Status, windows};
use crate::contract::names;
use crate::os::environment::Environment;

/// Launch at login for this program.
#[derive(Debug, Clone)]
pub struct Autostart {
    program: PathBuf,
}

impl Autostart {
    /// Launch at login for the running program.
    ///
    /// # Errors
    /// The system's error if the program's path is unknown.
    pub fn of_this_program(_environment: &Environment, _home: &Path) -> io::Result<Autostart> {
        Ok(Autostart {
            program: std::env::current_exe()?,
        })
    }

    /// Reads the state from the registry.
    pub fn status(&self) -> Status {
        windows::status(run_value().as_deref(), approved_value().as_deref())
    }

    /// Registers this program. Also overrides *Disabled* in Task Manager, because the user has just clicked here.
    ///
    /// # Errors
    /// A sentence that names what could not be written and the cause.
    pub fn enable(&self, _: Click) -> Result<Status, String> {
        self.registration().enable().map_err(|error| format!("could not write the registry's Run value: {error}"))?;
        Ok(self.status())
    }

    /// Removes the registration and Task Manager's value.
    ///
    /// # Errors
    /// A sentence that names what could not be removed and the cause.
    pub fn disable(&self, _: Click) -> Result<Status, String> {
        self.unregister()?;
        Ok(self.status())
    }

    /// Removes both values when the program is uninstalled.
    ///
    /// # Errors
    /// A sentence that names what could not be removed and the cause.
    pub fn unregister(&self) -> Result<(), String> {
        for key in [RUN, APPROVED] {
            if let Ok(key) = CURRENT_USER.options().read().write().open(key)
                && key.get_value(names::RUN_VALUE).is_ok()
            {
                key.remove_value(names::RUN_VALUE)
                    .map_err(|error| format!("could not remove the registry's Run value: {error}"))?;
            }
        }
        Ok(())
    }

    /// Corrects the path of an enabled value whose program no longer exists, after a move or an upgrade.
    pub fn correct_stale_path(&self) {
        let Some(value) = run_value().filter(|_| self.status() == Status::Enabled) else {
            return;
        };
        let program = windows::program_of(&value);
        if Path::new(program) == self.program || Path::new(program).exists() {
            return;
        }
        let written = CURRENT_USER
            .create(RUN)
            .and_then(|key| key.set_string(names::RUN_VALUE, windows::command(&self.program.to_string_lossy())));
        match written {
            Ok(()) => tracing::info!("corrected the path in the Run value"),
            Err(error) => tracing::warn!("could not correct the Run value: {error}"),
        }
    }

    /// auto-launch joins path and arguments with a space and quotes nothing, so the path is quoted here.
    fn registration(&self) -> AutoLaunch {
        let program = windows::quoted(&self.program.to_string_lossy());
        AutoLaunch::new(names::RUN_VALUE, &program, WindowsEnableMode::CurrentUser, &[names::AUTOSTART_ARGUMENT])
    }
}

fn run_value() -> Option<String> {
    CURRENT_USER.open(RUN).and_then(|key| key.get_string(names::RUN_VALUE)).ok()
}

fn approved_value() -> Option<Vec<u8>> {
    CURRENT_USER.open(APPROVED).and_then(|key| key.get_value(names::RUN_VALUE)).ok().map(|value| value.to_vec())
}
