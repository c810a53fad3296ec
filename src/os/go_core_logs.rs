//! Where the Go core writes its logs: not in its data directory.

use std::path::{Path, PathBuf};

use crate::contract::platform::Platform;
use crate::os::environment::{Environment, home_directory};
use crate::os::files;

/// Far larger than any real configuration.
const LARGEST_CONFIG: u64 = 16 << 20;

/// The log directory of the Go core that uses this configuration file.
pub fn of_config(config: &Path) -> PathBuf {
    let text = files::read_bounded(config, LARGEST_CONFIG).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let named = config.pointer("/logging/log_dir").and_then(serde_json::Value::as_str);
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return PathBuf::from(named);
    }
    let environment = Environment::read(|name| name == "XDG_STATE_HOME" || name.eq_ignore_ascii_case("LOCALAPPDATA"));
    usual(Platform::HOST, &home_directory().unwrap_or_default(), &environment, is_root())
}

/// The usual place on a system.
fn usual(platform: Platform, home: &Path, environment: &Environment, is_root: bool) -> PathBuf {
    let variable = |name: &str, or: PathBuf| environment.non_empty(name).map_or(or, PathBuf::from);
    match platform {
        Platform::Linux if is_root => PathBuf::from("/var/log/mcpproxy"),
        Platform::Linux => variable("XDG_STATE_HOME", home.join(".local/state")).join("mcpproxy").join("logs"),
        Platform::MacOs => home.join("Library/Logs/mcpproxy"),
        Platform::Windows => variable("LOCALAPPDATA", home.join("AppData/Local")).join("mcpproxy").join("logs"),
        Platform::Other => home.join(".mcpproxy").join("logs"),
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_place() {
        let home = Path::new("/home/ann");
        let none = Environment::default();
        let moved = Environment::from_iter([("XDG_STATE_HOME".to_owned(), "/state".to_owned())]);
        let of = |platform, environment, root| usual(platform, home, environment, root);
        assert_eq!(of(Platform::Linux, &none, false), home.join(".local/state/mcpproxy/logs"));
        assert_eq!(of(Platform::Linux, &moved, false), Path::new("/state/mcpproxy/logs"));
        assert_eq!(of(Platform::Linux, &moved, true), Path::new("/var/log/mcpproxy"));
        assert_eq!(of(Platform::MacOs, &none, true), home.join("Library/Logs/mcpproxy"));
        assert_eq!(of(Platform::Windows, &none, false), home.join("AppData/Local").join("mcpproxy").join("logs"));
    }

    #[test]
    fn the_configuration_may_name_another() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("c.json");
        std::fs::write(&config, r#"{"logging": {"log_dir": "/elsewhere"}}"#).unwrap();
        assert_eq!(of_config(&config), Path::new("/elsewhere"));
    }
}
