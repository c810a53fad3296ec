//! How a process was started. The parent passes this on in environment variables; process names are never inspected.

use crate::contract::{names, run_facts::LaunchSource};

/// How the tray was started: known from its argument, its environment, or the login-item Apple event (macOS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrayStart {
    /// The user started it.
    Person,
    /// The operating system started it at login.
    Login,
    /// An installer started it.
    Installer,
}

impl TrayStart {
    /// Determines the start from the tray's arguments and from `MCPPROXY_LAUNCHED_BY` in its environment.
    pub fn read(autostart_argument: bool, launched_by: Option<&str>) -> TrayStart {
        match launched_by.map(str::trim) {
            Some(value) if value.eq_ignore_ascii_case("installer") => TrayStart::Installer,
            _ if autostart_argument => TrayStart::Login,
            _ => TrayStart::Person,
        }
    }

    /// Returns the variables that the tray sets for a core. `first_core` is false for every later core of the same
    /// tray, so that an installation is reported only once.
    pub fn core_variables(self, first_core: bool) -> Vec<(&'static str, &'static str)> {
        match self {
            TrayStart::Installer if first_core => vec![(names::ENV_LAUNCHED_BY, "installer")],
            TrayStart::Login => vec![
                (names::ENV_LAUNCHED_BY, "tray"),
                (names::ENV_TRAY_LAUNCHED_BY, "login_item"),
            ],
            TrayStart::Person | TrayStart::Installer => vec![(names::ENV_LAUNCHED_BY, "tray")],
        }
    }
}

/// Returns the launch source from the two variables. `terminal` tells whether standard input is a terminal.
///
/// Values must match exactly: an unknown value is [`LaunchSource::Unknown`].
pub fn launch_source(launched_by: Option<&str>, tray_launched_by: Option<&str>, terminal: bool) -> LaunchSource {
    match (launched_by, tray_launched_by) {
        (Some("installer"), _) => LaunchSource::Installer,
        (Some("tray"), Some("login_item")) => LaunchSource::LoginItem,
        (Some("tray"), _) => LaunchSource::Tray,
        (None | Some(""), _) if terminal => LaunchSource::Cli,
        _ => LaunchSource::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_to_the_core(start: TrayStart, first_core: bool) -> LaunchSource {
        let set = start.core_variables(first_core);
        let value = |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        launch_source(value(names::ENV_LAUNCHED_BY), value(names::ENV_TRAY_LAUNCHED_BY), false)
    }

    #[test]
    fn the_core_learns_how_its_tray_was_started() {
        assert_eq!(told_to_the_core(TrayStart::Person, true), LaunchSource::Tray);
        assert_eq!(told_to_the_core(TrayStart::Login, true), LaunchSource::LoginItem);
        assert_eq!(told_to_the_core(TrayStart::Login, false), LaunchSource::LoginItem);
        assert_eq!(told_to_the_core(TrayStart::Installer, true), LaunchSource::Installer);
    }

    #[test]
    fn an_installation_is_reported_to_the_first_core_only() {
        assert_eq!(told_to_the_core(TrayStart::Installer, false), LaunchSource::Tray);
    }

    #[test]
    fn a_core_without_a_launch_variable_is_cli_at_a_terminal_and_else_unknown() {
        assert_eq!(launch_source(None, None, true), LaunchSource::Cli);
        assert_eq!(launch_source(None, None, false), LaunchSource::Unknown);
        assert_eq!(launch_source(Some("homebrew"), None, true), LaunchSource::Unknown);
        assert_eq!(launch_source(None, Some("login_item"), false), LaunchSource::Unknown);
    }

    #[test]
    fn a_tray_started_by_an_installer_is_not_a_login_item() {
        assert_eq!(TrayStart::read(true, Some("installer")), TrayStart::Installer);
        assert_eq!(TrayStart::read(true, None), TrayStart::Login);
        assert_eq!(TrayStart::read(false, Some("tray")), TrayStart::Person);
    }
}
