//! Reads, writes and removes the `Run` value of this user (Windows). HKLM is never written (pitfalls B10).

use std::io;
use std::path::{Path, PathBuf};

use auto_launch::{AutoLaunch, WindowsEnableMode};
use windows_registry::CURRENT_USER;

use super::windows::{APPROVED, RUN};
use super::{Click, Status, windows};
use crate::contract::names;
use crate::os::environment::Environment;

/// Launch-at-login of this program.
#[derive(Debug, Clone)]
pub struct Autostart {
    program: PathBuf,
}

impl Autostart {
    /// Of the program that runs now.
    ///
    /// # Errors
    /// What the system says when it does not know this program's path.
    pub fn of_this_program(_environment: &Environment, _home: &Path) -> io::Result<Autostart> {
        Ok(Autostart {
            program: std::env::current_exe()?,
        })
    }

    /// What the system says now.
    pub fn status(&self) -> Status {
        windows::status(run_value().as_deref(), approved_value().as_deref())
    }

    /// Registers this program. Task Manager's *disabled* is taken back too: a person has just clicked here.
    ///
    /// # Errors
    /// A sentence: what could not be written, and why.
    pub fn enable(&self, _: Click) -> Result<Status, String> {
        self.registration().enable().map_err(|error| format!("the registry's Run value cannot be written: {error}"))?;
        Ok(self.status())
    }

    /// Takes the registration back, with Task Manager's value beside it.
    ///
    /// # Errors
    /// A sentence: what could not be removed, and why.
    pub fn disable(&self, _: Click) -> Result<Status, String> {
        self.unregister()?;
        Ok(self.status())
    }

    /// Removes both values, for the removal of the program.
    ///
    /// # Errors
    /// A sentence: what could not be removed, and why.
    pub fn unregister(&self) -> Result<(), String> {
        for key in [RUN, APPROVED] {
            if let Ok(key) = CURRENT_USER.options().read().write().open(key)
                && key.get_value(names::RUN_VALUE).is_ok()
            {
                key.remove_value(names::RUN_VALUE)
                    .map_err(|error| format!("the registry's Run value cannot be removed: {error}"))?;
            }
        }
        Ok(())
    }

    /// Corrects the path of a value that is enabled and leads nowhere, after a move or an upgrade.
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
            Ok(()) => tracing::info!("the Run value names this program again"),
            Err(error) => tracing::warn!("the Run value cannot be corrected: {error}"),
        }
    }

    /// auto-launch joins path and arguments with a blank and quotes nothing: the path is quoted here.
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
