//! The data directory (mode 0700), which holds all files of one MCPProxy instance of one user (mode 0600).

use std::path::{Path, PathBuf};

/// The data directory of one instance: `$MCPPROXY_HOME`, or `~/.mcpproxy` if that is unset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRoot {
    path: PathBuf,
    default: bool,
}

impl InstanceRoot {
    /// Returns the data directory for the user's home directory and the value of `MCPPROXY_HOME`.
    ///
    /// A blank value counts as unset, and a leading `~/` means the home directory, as in the Go core.
    pub fn resolve(home: &Path, mcpproxy_home: Option<&str>) -> InstanceRoot {
        let default = home.join(".mcpproxy");
        let path = match mcpproxy_home.map(str::trim).filter(|value| !value.is_empty()) {
            None => default.clone(),
            Some("~") => home.to_path_buf(),
            Some(value) => match value.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(value),
            },
        };
        InstanceRoot {
            default: path == default,
            path,
        }
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is `~/.mcpproxy`. Only a relocated instance must pass its directory on to the programs that it
    /// starts.
    pub fn is_default(&self) -> bool {
        self.default
    }

    /// `mcp_config.json`: the configuration, in the Go core's format. Unknown keys are kept.
    pub fn config(&self) -> PathBuf {
        self.path.join("mcp_config.json")
    }

    /// `mcpproxy.sock`: the core's local socket (Unix).
    pub fn socket(&self) -> PathBuf {
        self.path.join("mcpproxy.sock")
    }

    /// `tray-autostart.json`: reports to the core whether launch at login is on. Written by the tray.
    pub fn sidecar(&self) -> PathBuf {
        self.path.join("tray-autostart.json")
    }

    /// `tool-approvals.json`: the approved tools of each server.
    pub fn tool_approvals(&self) -> PathBuf {
        self.path.join("tool-approvals.json")
    }

    /// `config.db`: the Go core's database. Read once, never written.
    pub fn go_database(&self) -> PathBuf {
        self.path.join("config.db")
    }

    /// `takeover.json`: the result of taking over the Go core's data directory.
    pub fn takeover(&self) -> PathBuf {
        self.path.join("takeover.json")
    }

    /// `takeover-approvals.json`: approvals from the Go core for servers that have not listed their tools yet.
    pub fn takeover_approvals(&self) -> PathBuf {
        self.path.join("takeover-approvals.json")
    }

    /// `mcp-session-profiles.json`: the profile that each session has chosen.
    pub fn session_profiles(&self) -> PathBuf {
        self.path.join("mcp-session-profiles.json")
    }

    /// `offer-approvals.json`: the approved prompts and resource templates of each server.
    pub fn offer_approvals(&self) -> PathBuf {
        self.path.join("offer-approvals.json")
    }

    /// `activity.redb`: the record of calls, decisions and changes.
    pub fn activity(&self) -> PathBuf {
        self.path.join("activity.redb")
    }

    /// `mcp-sessions.json`: the sessions of AI clients, to resume them.
    pub fn mcp_sessions(&self) -> PathBuf {
        self.path.join("mcp-sessions.json")
    }

    /// `registry-cache/`: answers of registries of servers, for use without the network.
    pub fn registry_cache(&self) -> PathBuf {
        self.path.join("registry-cache")
    }

    /// `oauth-tokens.json`: OAuth tokens from signing in to servers.
    pub fn oauth_tokens(&self) -> PathBuf {
        self.path.join("oauth-tokens.json")
    }

    /// `tray.json`: the tray's preferences, and the user's choice in the first-run window.
    pub fn tray_preferences(&self) -> PathBuf {
        self.path.join("tray.json")
    }

    /// `tray-lifecycle.jsonl`: a record of who started and stopped the core, and when.
    pub fn lifecycle_journal(&self) -> PathBuf {
        self.path.join("tray-lifecycle.jsonl")
    }

    /// `tray.sock`: where a second tray notifies the running one (Unix).
    pub fn tray_socket(&self) -> PathBuf {
        self.path.join("tray.sock")
    }

    /// `tray.lock`: locked by the running tray of this directory.
    pub fn tray_lock(&self) -> PathBuf {
        self.path.join("tray.lock")
    }

    /// `core.lock`: locked by the running core of this directory.
    pub fn core_lock(&self) -> PathBuf {
        self.path.join("core.lock")
    }

    /// `state.redb`: the core's telemetry store. The core never changes the Go core's `config.db`.
    pub fn store(&self) -> PathBuf {
        self.path.join("state.redb")
    }

    /// `logs/`: `main.log`, `tray.log`, `server-<name>.log`.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// `logs/core-stderr.log`: the standard error of a core that the tray or a command started. Not a pipe: a core that writes
    /// to a pipe without a reader dies, and this core must outlive the program that started it.
    pub fn core_stderr(&self) -> PathBuf {
        self.logs().join("core-stderr.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(value: Option<&str>) -> InstanceRoot {
        InstanceRoot::resolve(Path::new("/home/ann"), value)
    }

    #[test]
    fn without_the_variable_the_root_is_in_the_home() {
        let root = resolve(None);
        assert_eq!(root.path(), Path::new("/home/ann/.mcpproxy"));
        assert!(root.is_default());
        assert_eq!(resolve(Some("  ")), root);
        assert_eq!(resolve(Some("~/.mcpproxy")), root);
    }

    #[test]
    fn the_variable_moves_it() {
        let root = resolve(Some("/srv/work"));
        assert_eq!(root.config(), Path::new("/srv/work/mcp_config.json"));
        assert!(!root.is_default());
    }
}
