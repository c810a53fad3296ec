//! Parses the tray's command line.

use crate::contract::names;

/// The request of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Run {
        /// The system made this start, at login.
        autostart: bool,
    },
    /// Quit the running tray, as from its menu.
    Quit,
    /// Remove the launch-at-login registration, when the package is uninstalled.
    Unregister,
    /// Add the programs to the user's PATH for terminals (Windows).
    AddToPath,
    Version,
    Help,
    /// An unknown argument.
    Unknown(String),
}

/// The text of `--help`.
pub const HELP: &str = "\
Keeps the MCPProxy core running and shows it in the notification area.

Usage: mcpproxy-tray [--autostart | --quit | --unregister | --add-to-path | --version | --help]

  --autostart    Start without the first-run window (used at login)
  --quit         Quit the running tray app and the core that it started
  --unregister   Stop launching at login and forget the setting
  --add-to-path  Add mcpproxy to your PATH (Windows only; --unregister removes it)
";

impl Request {
    /// Parses the arguments after the program's name.
    pub fn read<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Request {
        let mut request = Request::Run { autostart: false };
        for argument in arguments {
            request = match argument {
                names::AUTOSTART_ARGUMENT => Request::Run { autostart: true },
                "--quit" => return Request::Quit,
                "--unregister" => return Request::Unregister,
                "--add-to-path" => return Request::AddToPath,
                "--version" | "-V" => return Request::Version,
                "--help" | "-h" => return Request::Help,
                // Finder passes this argument to programs it opens.
                process if process.starts_with("-psn_") => continue,
                other => return Request::Unknown(other.to_owned()),
            }
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_by_the_system_is_known_by_its_argument() {
        assert_eq!(Request::read([]), Request::Run { autostart: false });
        assert_eq!(Request::read(["--autostart"]), Request::Run { autostart: true });
        assert_eq!(Request::read(["-psn_0_1"]), Request::Run { autostart: false });
        assert_eq!(Request::read(["--autostart", "--helo"]), Request::Unknown("--helo".into()));
    }
}
