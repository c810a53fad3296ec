//! The addresses of a core, computed in one place for the core and for all its clients.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::contract::{instance_root::InstanceRoot, names, platform::Platform};

/// One way to connect to a core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A local socket or pipe. The peer's user is checked, so no API key is needed.
    Local(LocalAddress),
    /// HTTP over TCP: `host:port` and the API key.
    Tcp { address: String, key: String },
}

/// A local socket or pipe that only its owner may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAddress {
    /// Path of a Unix domain socket.
    Unix(PathBuf),
    /// Full name of a Windows named pipe, `\\.\pipe\…`.
    Pipe(String),
}

/// Environment values that override the local address of an instance.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalAddressOverrides<'a> {
    /// Value of `MCPPROXY_SOCKET_PATH`: a path, or a pipe name on Windows.
    pub socket_path: Option<&'a str>,
    /// Value of `MCPPROXY_TRAY_ENDPOINT`, or of the configuration's `tray_endpoint`: `unix://…` or `npipe://…`.
    pub endpoint_url: Option<&'a str>,
}

impl LocalAddress {
    /// Returns the local address of an instance. `user` is the account name; only the pipe's name needs it.
    ///
    /// On Windows, the pipe of a relocated data directory has a suffix: the first eight hexadecimal digits of the
    /// SHA-256 of the directory's path. The Go core's clients expect this suffix, although the Go core does not add it.
    pub fn of(
        platform: Platform,
        root: &InstanceRoot,
        user: &str,
        overrides: LocalAddressOverrides<'_>,
    ) -> LocalAddress {
        let said = |value: Option<&str>| value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        if let Some(path) = said(overrides.socket_path) {
            return match platform {
                Platform::Windows => LocalAddress::Pipe(pipe_name(&path)),
                _ => LocalAddress::Unix(PathBuf::from(path)),
            };
        }
        if let Some(address) = said(overrides.endpoint_url).as_deref().and_then(LocalAddress::from_url) {
            return address;
        }
        match platform {
            Platform::Windows => LocalAddress::Pipe(pipe_of(names::CORE_PROGRAM, root, user)),
            _ => LocalAddress::Unix(root.socket()),
        }
    }

    /// Returns the address on which a running tray is notified of a second start.
    pub fn of_tray(platform: Platform, root: &InstanceRoot, user: &str) -> LocalAddress {
        match platform {
            Platform::Windows => LocalAddress::Pipe(pipe_of(names::TRAY_PROGRAM, root, user)),
            _ => LocalAddress::Unix(root.tray_socket()),
        }
    }

    /// Parses `unix:///path` and `npipe:////./pipe/name`; returns `None` for anything else.
    pub fn from_url(url: &str) -> Option<LocalAddress> {
        if let Some(path) = url.strip_prefix("unix://") {
            return (!path.is_empty()).then(|| LocalAddress::Unix(PathBuf::from(path)));
        }
        let name = url.strip_prefix("npipe://")?;
        (!name.is_empty()).then(|| LocalAddress::Pipe(pipe_name(name)))
    }

    /// Whether the system can bind this address: the kernel limits the length of a socket path (`sockaddr_un`: 107
    /// bytes on Linux, 103 on macOS and the BSDs).
    pub fn fits(&self, platform: Platform) -> bool {
        match (self, platform) {
            (LocalAddress::Unix(path), Platform::Linux) => byte_length(path) <= 107,
            (LocalAddress::Unix(path), _) => byte_length(path) <= 103,
            (LocalAddress::Pipe(name), _) => name.chars().count() <= 256,
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalAddress::Unix(path) => write!(f, "{}", path.display()),
            LocalAddress::Pipe(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Local(address) => address.fmt(f),
            Endpoint::Tcp { address, .. } => write!(f, "http://{address}"),
        }
    }
}

/// Returns the MCP URL for AI clients of a core that listens on `listen`.
///
/// A wildcard or missing host becomes the loopback address, because not every system can connect to a wildcard address.
pub fn mcp_url(listen: &str, is_encrypted: bool) -> String {
    let scheme = if is_encrypted { "https" } else { "http" };
    format!("{scheme}://{}{}", client_host(listen), names::MCP_PATH)
}

/// Returns `host:port` for clients on this computer: a wildcard or missing host becomes `127.0.0.1`.
pub fn client_host(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("" | "0.0.0.0" | "[::]" | "::", port)) => format!("127.0.0.1:{port}"),
        _ => listen.to_owned(),
    }
}

fn pipe_of(program: &str, root: &InstanceRoot, user: &str) -> String {
    let user = if user.is_empty() { "default" } else { user };
    let mut name = format!(r"\\.\pipe\{program}-{user}");
    if !root.is_default() {
        let digest = Sha256::digest(root.path().to_string_lossy().as_bytes());
        name.push('-');
        for byte in digest.iter().take(4) {
            name.push_str(&format!("{byte:02x}"));
        }
    }
    name
}

fn pipe_name(name: &str) -> String {
    let name = name.trim_start_matches(['/', '\\']).replace('/', "\\");
    let name = name.trim_start_matches(".\\").trim_start_matches("pipe\\");
    format!(r"\\.\pipe\{name}")
}

fn byte_length(path: &Path) -> usize {
    path.as_os_str().as_encoded_bytes().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(value: Option<&str>) -> InstanceRoot {
        InstanceRoot::resolve(Path::new("/home/ann"), value)
    }

    fn of(platform: Platform, home: Option<&str>, overrides: LocalAddressOverrides<'_>) -> LocalAddress {
        LocalAddress::of(platform, &root(home), "ann", overrides)
    }

    #[test]
    fn the_socket_lies_in_the_instance_root() {
        let none = LocalAddressOverrides::default();
        assert_eq!(of(Platform::Linux, None, none), LocalAddress::Unix("/home/ann/.mcpproxy/mcpproxy.sock".into()));
        assert_eq!(of(Platform::MacOs, Some("/x"), none), LocalAddress::Unix("/x/mcpproxy.sock".into()));
    }

    #[test]
    fn a_relocated_pipe_carries_the_digest_of_its_root() {
        let none = LocalAddressOverrides::default();
        assert_eq!(of(Platform::Windows, None, none), LocalAddress::Pipe(r"\\.\pipe\mcpproxy-ann".into()));
        // printf /x | sha256sum
        assert_eq!(
            of(Platform::Windows, Some("/x"), none),
            LocalAddress::Pipe(r"\\.\pipe\mcpproxy-ann-b3d1db31".into())
        );
    }

    #[test]
    fn the_socket_variable_outranks_the_endpoint_url() {
        let both = LocalAddressOverrides {
            socket_path: Some("/run/a.sock"),
            endpoint_url: Some("unix:///run/b.sock"),
        };
        assert_eq!(of(Platform::Linux, None, both), LocalAddress::Unix("/run/a.sock".into()));
        let url = LocalAddressOverrides {
            socket_path: Some(" "),
            ..both
        };
        assert_eq!(of(Platform::Linux, None, url), LocalAddress::Unix("/run/b.sock".into()));
    }

    #[test]
    fn pipe_urls_are_read_in_every_spelling() {
        for url in [
            "npipe:////./pipe/x",
            "npipe://./pipe/x",
            "npipe://x",
            r"npipe://\\.\pipe\x",
        ] {
            assert_eq!(LocalAddress::from_url(url), Some(LocalAddress::Pipe(r"\\.\pipe\x".into())), "{url}");
        }
        assert_eq!(LocalAddress::from_url("http://127.0.0.1:1"), None);
    }

    #[test]
    fn a_path_that_the_kernel_refuses_is_known_beforehand() {
        let long = LocalAddress::Unix(PathBuf::from("/".to_owned() + &"x".repeat(105)));
        assert!(long.fits(Platform::Linux));
        assert!(!long.fits(Platform::MacOs));
    }

    #[test]
    fn clients_are_given_an_address_they_can_connect_to() {
        assert_eq!(mcp_url("127.0.0.1:8080", false), "http://127.0.0.1:8080/mcp");
        assert_eq!(mcp_url(":9000", false), "http://127.0.0.1:9000/mcp");
        assert_eq!(mcp_url("0.0.0.0:9000", true), "https://127.0.0.1:9000/mcp");
        assert_eq!(mcp_url("[::1]:9000", false), "http://[::1]:9000/mcp");
    }
}
