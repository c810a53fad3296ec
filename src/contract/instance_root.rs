//! The instance root: one directory (0700) that holds everything one MCPProxy of one person keeps (files 0600).

use std::path::{Path, PathBuf};

/// Directory of one instance: `$MCPPROXY_HOME`, else `~/.mcpproxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRoot {
    path: PathBuf,
    default: bool,
}

impl InstanceRoot {
    /// The root for a person's home directory and the value of `MCPPROXY_HOME`.
    ///
    /// A blank value counts as unset and a leading `~/` means the home directory (contract: tray-behaviour §5).
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

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is `~/.mcpproxy`: only a relocated instance has to be named to the programs it starts.
    pub fn is_default(&self) -> bool {
        self.default
    }

    /// `mcp_config.json`: the existing core's format, unknown keys kept.
    pub fn config(&self) -> PathBuf {
        self.path.join("mcp_config.json")
    }

    /// `mcpproxy.sock`: the core's local socket (Unix).
    pub fn socket(&self) -> PathBuf {
        self.path.join("mcpproxy.sock")
    }

    /// `tray-autostart.json`: the tray tells the core whether launch-at-login is on.
    pub fn sidecar(&self) -> PathBuf {
        self.path.join("tray-autostart.json")
    }

    /// `tool-approvals.json`: the approved tools of each server.
    pub fn tool_approvals(&self) -> PathBuf {
        self.path.join("tool-approvals.json")
    }

    /// `config.db`: the Go core's database, which is read once and never written.
    pub fn go_database(&self) -> PathBuf {
        self.path.join("config.db")
    }

    /// `takeover.json`: what became of the Go core's data directory.
    pub fn takeover(&self) -> PathBuf {
        self.path.join("takeover.json")
    }

    /// `takeover-approvals.json`: approvals of the Go core whose servers have not listed their tools yet.
    pub fn takeover_approvals(&self) -> PathBuf {
        self.path.join("takeover-approvals.json")
    }

    /// `mcp-session-profiles.json`: the profile that each session chose.
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

    /// `mcp-sessions.json`: the sessions of AI clients, for when they come back.
    pub fn mcp_sessions(&self) -> PathBuf {
        self.path.join("mcp-sessions.json")
    }

    /// `oauth-tokens.json`: what signing in to servers left behind.
    pub fn oauth_tokens(&self) -> PathBuf {
        self.path.join("oauth-tokens.json")
    }

    /// `tray.json`: the tray's preferences and the first-run answer.
    pub fn tray_preferences(&self) -> PathBuf {
        self.path.join("tray.json")
    }

    /// `tray-lifecycle.jsonl`: who asked for each start and stop.
    pub fn lifecycle_journal(&self) -> PathBuf {
        self.path.join("tray-lifecycle.jsonl")
    }

    /// `tray.sock`: a second start of the tray reaches the first here (Unix).
    pub fn tray_socket(&self) -> PathBuf {
        self.path.join("tray.sock")
    }

    /// `tray.lock`: held by the one tray of this root.
    pub fn tray_lock(&self) -> PathBuf {
        self.path.join("tray.lock")
    }

    /// `core.lock`: held by the one core of this root.
    pub fn core_lock(&self) -> PathBuf {
        self.path.join("core.lock")
    }

    /// `state.redb`: the core's memory. The existing core's `config.db` is never touched.
    pub fn store(&self) -> PathBuf {
        self.path.join("state.redb")
    }

    /// `logs/`: `main.log`, `tray.log`, `server-<name>.log`.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
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
