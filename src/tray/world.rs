//! The state that the process starts with: arguments, environment and home directory, read once. Also writes to the
//! terminal.

use std::io::Write;
use std::path::PathBuf;

use super::{autostart, display, user_path};
use crate::contract::names;
use crate::os::environment::{self, Environment};

/// This program's version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Suppresses the first-run window: for managed computers and tests.
pub(super) const ENV_NO_FIRST_RUN: &str = "MCPPROXY_NO_FIRST_RUN";

/// The process's environment at its start.
pub struct World {
    pub arguments: Vec<String>,
    pub environment: Environment,
    pub home: Option<PathBuf>,
    pub user: String,
    pub executable: Option<PathBuf>,
}

impl World {
    /// Reads the environment of this process.
    pub fn read() -> World {
        World {
            arguments: std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect(),
            environment: Environment::read(|name| {
                let wanted = ["PATH", "CI", "SHELL", user_path::ENV_ASKING];
                names::is_declared(name)
                    || name == ENV_NO_FIRST_RUN
                    || wanted
                        .iter()
                        .chain(&autostart::VARIABLES)
                        .chain(&display::VARIABLES)
                        .any(|known| name.eq_ignore_ascii_case(known))
            }),
            home: environment::home_directory(),
            user: environment::user_name(),
            executable: std::env::current_exe().ok(),
        }
    }
}

/// Writes one line to standard error, prefixed with the program's name.
pub(super) fn say(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "{}: {sentence}", names::TRAY_PROGRAM);
}

/// Writes to standard output.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
