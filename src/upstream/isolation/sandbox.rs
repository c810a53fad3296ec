//! The system's own sandbox as a value: what a server may read, write and reach.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::environment::{Source, Variable};
use super::machine::System;
use super::paths::Grants;
use crate::config::isolation::Network;

/// The permissions of a sandboxed server. Everything not listed here is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub read: BTreeSet<PathBuf>,
    pub write: BTreeSet<PathBuf>,
    /// Closed even where a path above is open; only systems with deny rules need it.
    pub secret: BTreeSet<PathBuf>,
    pub network: Network,
    /// The server's own directory, with its home and its temporary files.
    pub private: PathBuf,
    pub working_directory: PathBuf,
}

/// Devices that every program writes to.
const LINUX_WRITE: &[&str] = &["/dev/null", "/dev/tty", "/dev/ptmx", "/dev/pts"];

/// Variables that lead to directories of the person: inside the sandbox each has its own.
const DIRECTORIES: &[&str] = &[
    "HOME",
    "TMPDIR",
    "TEMP",
    "TMP",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "NPM_CONFIG_CACHE",
    "npm_config_cache",
    "UV_CACHE_DIR",
    "UV_PYTHON_INSTALL_DIR",
    "PIP_CACHE_DIR",
    "PIPX_HOME",
    "PIPX_BIN_DIR",
    "DENO_DIR",
    "GOPATH",
    "GOCACHE",
    "CARGO_HOME",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DOCKER_HOST",
    "CONTAINER_HOST",
];

impl Sandbox {
    /// The sandbox of one server from what its entry needs.
    pub fn of(
        system: System,
        grants: Grants,
        secret: BTreeSet<PathBuf>,
        network: Network,
        private: PathBuf,
        working_directory: Option<PathBuf>,
    ) -> Sandbox {
        let (read, mut write) = (grants.read, grants.write);
        if system == System::Linux {
            write.extend(LINUX_WRITE.iter().map(PathBuf::from));
        }
        write.insert(private.clone());
        Sandbox {
            read,
            write,
            secret,
            network,
            working_directory: working_directory.unwrap_or_else(|| private.join("home")),
            private,
        }
    }

    /// The directories that must exist before the server starts.
    pub fn own_directories(&self) -> [PathBuf; 2] {
        [self.private.join("home"), self.private.join("tmp")]
    }

    /// The variables inside: the person's directories are replaced by the server's own, what its entry sets stays.
    pub fn variables(&self, mut variables: BTreeMap<String, Variable>) -> BTreeMap<String, Variable> {
        variables
            .retain(|name, variable| variable.source != Source::AllowList || !DIRECTORIES.contains(&name.as_str()));
        let [home, temporary] = self.own_directories();
        for (name, path) in [("HOME", &home), ("TMPDIR", &temporary)] {
            variables.entry(name.to_owned()).or_insert_with(|| Variable {
                value: path.to_string_lossy().into_owned(),
                source: Source::AllowList,
            });
        }
        variables
    }

    /// Whether a path may be read, by the rules above.
    pub fn may_read(&self, path: &Path) -> bool {
        let open = |paths: &BTreeSet<PathBuf>| paths.iter().any(|open| path.starts_with(open));
        open(&self.read) || open(&self.write)
    }
}

/// The directory of one server below our data directory: no two names share one.
pub fn private_directory(data_directory: &Path, server: &str) -> PathBuf {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    let readable: String =
        server.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).take(32).collect();
    let mut name = format!("{readable}-");
    for byte in Sha256::digest(server.as_bytes()).iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    data_directory.join("isolation").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_opens_the_system_and_its_own_directory_only() {
        let private = private_directory(Path::new("/home/ann/.mcpproxy"), "a/b");
        assert_ne!(private, private_directory(Path::new("/home/ann/.mcpproxy"), "a-b"));
        let grants = Grants {
            read: [PathBuf::from("/usr")].into(),
            ..Grants::default()
        };
        let sandbox = Sandbox::of(System::Linux, grants, BTreeSet::new(), Network::On, private.clone(), None);
        assert!(sandbox.may_read(Path::new("/usr/bin/node")) && sandbox.may_read(&private.join("home/x")));
        for closed in [
            "/home/ann/.ssh/id_rsa",
            "/home/ann/.mcpproxy/mcp_config.json",
            "/var/lib/x",
            "/run/user/1000/bus",
        ] {
            assert!(!sandbox.may_read(Path::new(closed)), "{closed}");
        }
        let variable = |value: &str, source| Variable {
            value: value.to_owned(),
            source,
        };
        let variables = sandbox.variables(BTreeMap::from([
            ("HOME".to_owned(), variable("/home/ann", Source::AllowList)),
            ("XDG_RUNTIME_DIR".to_owned(), variable("/run/user/1000", Source::AllowList)),
            ("TMPDIR".to_owned(), variable("/mine", Source::Entry)),
            ("PATH".to_owned(), variable("/bin", Source::AllowList)),
        ]));
        let shown: Vec<_> = variables.iter().map(|(name, variable)| format!("{name}={}", variable.value)).collect();
        assert_eq!(
            shown,
            [
                format!("HOME={}", private.join("home").display()),
                "PATH=/bin".to_owned(),
                "TMPDIR=/mine".to_owned()
            ]
        );
    }
}
