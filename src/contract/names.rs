//! Names that occur in more than one place: product, IDs, files, environment variables.
//!
//! Tests compare the packaging files with these constants.

/// The product's name in window titles, the menu header and the installer.
pub const PRODUCT: &str = "MCPProxy";
/// Reverse-DNS ID: the tray icon's ID on the bus, the bundle ID and the base name of the desktop entry.
pub const APP_ID: &str = "app.mcpproxy.tray";
/// Program name of the core and its command-line interface, without `.exe`.
pub const CORE_PROGRAM: &str = "mcpproxy";
/// Program name of the tray app, without `.exe`.
pub const TRAY_PROGRAM: &str = "mcpproxy-tray";
/// This core's name in `GET /api/v1/info`; the Go core has no such field.
pub const IMPLEMENTATION: &str = "mcpproxy-rs";
/// Name of the value in the Windows `Run` key.
pub const RUN_VALUE: &str = "MCPProxy";
/// File name of the XDG autostart entry.
pub const AUTOSTART_ENTRY: &str = "app.mcpproxy.tray.desktop";
/// Argument of the tray in the login entry: the operating system started it, not the user.
pub const AUTOSTART_ARGUMENT: &str = "--autostart";

/// What started this core: `tray`, `installer` or nothing. The tray sets it for the core, an installer for the tray.
pub const ENV_LAUNCHED_BY: &str = "MCPPROXY_LAUNCHED_BY";
/// How the tray that started this core was started: `login_item` or nothing.
pub const ENV_TRAY_LAUNCHED_BY: &str = "MCPPROXY_TRAY_LAUNCHED_BY";
/// The data directory, instead of `~/.mcpproxy`.
pub const ENV_HOME: &str = "MCPPROXY_HOME";
/// Path of the local socket for the core and its clients, instead of the one in the data directory.
pub const ENV_SOCKET_PATH: &str = "MCPPROXY_SOCKET_PATH";
/// Like [`ENV_SOCKET_PATH`], as a URL (`unix://…`, `npipe://…`, `http://…`). The Go core's variable.
pub const ENV_TRAY_ENDPOINT: &str = "MCPPROXY_TRAY_ENDPOINT";
/// Path of the core program that the tray starts.
pub const ENV_CORE_PATH: &str = "MCPPROXY_CORE_PATH";
/// `1` or `true`: the tray never starts a core, it only connects to a running one.
pub const ENV_TRAY_SKIP_CORE: &str = "MCPPROXY_TRAY_SKIP_CORE";
/// API key for TCP connections, instead of the configured one. Ignored if empty.
pub const ENV_API_KEY: &str = "MCPPROXY_API_KEY";
/// TCP address to listen on, instead of the configured one. Ignored if empty.
pub const ENV_LISTEN: &str = "MCPPROXY_LISTEN";
/// `true` or `1`: HTTPS on the TCP address, regardless of the configuration. The Go core's variable.
pub const ENV_TLS_ENABLED: &str = "MCPPROXY_TLS_ENABLED";
/// `true` or `1`: clients need a certificate. The Go core's variable.
pub const ENV_TLS_REQUIRE_CLIENT_CERT: &str = "MCPPROXY_TLS_REQUIRE_CLIENT_CERT";
/// Directory of certificates and keys. The Go core's variable.
pub const ENV_CERTS_DIR: &str = "MCPPROXY_CERTS_DIR";
/// Output format of the command line: `table`, `json` or `yaml`.
pub const ENV_OUTPUT: &str = "MCPPROXY_OUTPUT";
/// Turns telemetry off: `0`, `false`, `no`, `off` or `disabled`.
pub const ENV_TELEMETRY: &str = "MCPPROXY_TELEMETRY";
/// Turns telemetry off in many programs; see <https://donottrack.sh>.
pub const ENV_DO_NOT_TRACK: &str = "DO_NOT_TRACK";
/// `true` or `1`: no automatic update checks. The Go core's variable.
pub const ENV_DISABLE_AUTO_UPDATE: &str = "MCPPROXY_DISABLE_AUTO_UPDATE";
/// `0` or `false`: stores no tokens in the system's keychain. The Go core's variable.
pub const ENV_KEYRING_WRITE: &str = "MCPPROXY_KEYRING_WRITE";
/// Log filter of both programs, in the syntax of the `tracing` environment filter.
pub const ENV_LOG: &str = "MCPPROXY_LOG";

/// Request header that identifies the caller: `tray/<version>`, `cli/<version>`, `mcp/<version>`.
pub const HEADER_CLIENT: &str = "X-MCPProxy-Client";
/// Request header with the API key, for TCP.
pub const HEADER_API_KEY: &str = "X-API-Key";

/// Default TCP address.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Path of the MCP endpoint.
pub const MCP_PATH: &str = "/mcp";
/// Path of the MCP endpoint that lists every server's own tools; `/{server}` after it selects one server.
pub const MCP_ALL_PATH: &str = "/mcp/all";
/// MCP endpoint with the search tools in every routing mode. The Go core's path.
pub const MCP_CALL_PATH: &str = "/mcp/call";
/// The Go core's path for code execution, which this core does not support: the same as [`MCP_CALL_PATH`].
pub const MCP_CODE_PATH: &str = "/mcp/code";
/// MCP endpoint for the servers of one profile; the profile's name follows.
pub const MCP_PROFILE_PATH: &str = "/mcp/p";

/// All variables with the prefix of this product, and two shared ones that it supports.
const DECLARED: &[&str] = &[
    ENV_LAUNCHED_BY,
    ENV_TRAY_LAUNCHED_BY,
    ENV_HOME,
    ENV_SOCKET_PATH,
    ENV_TRAY_ENDPOINT,
    ENV_CORE_PATH,
    ENV_TRAY_SKIP_CORE,
    ENV_API_KEY,
    ENV_LISTEN,
    ENV_TLS_ENABLED,
    ENV_TLS_REQUIRE_CLIENT_CERT,
    ENV_CERTS_DIR,
    ENV_OUTPUT,
    ENV_TELEMETRY,
    ENV_DO_NOT_TRACK,
    ENV_DISABLE_AUTO_UPDATE,
    ENV_KEYRING_WRITE,
    ENV_LOG,
];

/// Whether a variable is declared here. Reading any other variable needs a reason of its own.
pub fn is_declared(name: &str) -> bool {
    DECLARED.contains(&name)
}
