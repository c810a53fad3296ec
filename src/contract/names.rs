//! Every name that is written in more than one place: product, ids, files, environment variables.
//!
//! Packaging files are held against these constants, so a name is changed here and nowhere else.

/// What people read: window titles, menu header, installer.
pub const PRODUCT: &str = "MCPProxy";
/// Reverse-DNS id: tray icon id on the bus, bundle id, desktop-entry basename.
pub const APP_ID: &str = "app.mcpproxy.tray";
/// Program name of the core and its CLI, without `.exe`.
pub const CORE_PROGRAM: &str = "mcpproxy";
/// Program name of the tray app, without `.exe`.
pub const TRAY_PROGRAM: &str = "mcpproxy-tray";
/// The core's name in `GET /api/v1/info`, which the existing core omits.
pub const IMPLEMENTATION: &str = "mcpproxy-rs";
/// Name of the value under the Windows `Run` key.
pub const RUN_VALUE: &str = "MCPProxy";
/// File name of the XDG autostart entry.
pub const AUTOSTART_ENTRY: &str = "app.mcpproxy.tray.desktop";
/// Argument that the login entry passes to the tray: this start was made by the system and not by a person.
pub const AUTOSTART_ARGUMENT: &str = "--autostart";

/// Who started this core: `tray`, `installer` or nothing. Set by the tray, and by installers on the tray.
pub const ENV_LAUNCHED_BY: &str = "MCPPROXY_LAUNCHED_BY";
/// How the tray that started this core was itself started: `login_item` or nothing.
pub const ENV_TRAY_LAUNCHED_BY: &str = "MCPPROXY_TRAY_LAUNCHED_BY";
/// Replaces `~/.mcpproxy` as the instance root.
pub const ENV_HOME: &str = "MCPPROXY_HOME";
/// Points clients and core at one socket; outranks the instance root.
pub const ENV_SOCKET_PATH: &str = "MCPPROXY_SOCKET_PATH";
/// Like [`ENV_SOCKET_PATH`], as an endpoint URL (`unix://…`, `npipe://…`, `http://…`): the existing CLI's variable.
pub const ENV_TRAY_ENDPOINT: &str = "MCPPROXY_TRAY_ENDPOINT";
/// Path of the core program for the tray to start.
pub const ENV_CORE_PATH: &str = "MCPPROXY_CORE_PATH";
/// `1` or `true`: the tray never starts a core, it only attaches.
pub const ENV_TRAY_SKIP_CORE: &str = "MCPPROXY_TRAY_SKIP_CORE";
/// Non-empty: the API key for TCP, instead of the configured one.
pub const ENV_API_KEY: &str = "MCPPROXY_API_KEY";
/// Non-empty: the TCP address, instead of the configured one.
pub const ENV_LISTEN: &str = "MCPPROXY_LISTEN";
/// `true` or `1`: HTTPS on the TCP address, whatever the configuration says. The existing core's variable.
pub const ENV_TLS_ENABLED: &str = "MCPPROXY_TLS_ENABLED";
/// `true` or `1`: clients need a certificate. The existing core's variable.
pub const ENV_TLS_REQUIRE_CLIENT_CERT: &str = "MCPPROXY_TLS_REQUIRE_CLIENT_CERT";
/// Directory of certificates and keys. The existing core's variable.
pub const ENV_CERTS_DIR: &str = "MCPPROXY_CERTS_DIR";
/// CLI output format: `table`, `json` or `yaml`.
pub const ENV_OUTPUT: &str = "MCPPROXY_OUTPUT";
/// Our own telemetry switch: 0, false, no, off, disabled.
pub const ENV_TELEMETRY: &str = "MCPPROXY_TELEMETRY";
/// The cross-vendor opt-out of <https://donottrack.sh>.
pub const ENV_DO_NOT_TRACK: &str = "DO_NOT_TRACK";
/// `true` or `1`: the core never looks for a newer release by itself. The existing core's variable.
pub const ENV_DISABLE_AUTO_UPDATE: &str = "MCPPROXY_DISABLE_AUTO_UPDATE";
/// `0` or `false`: no token goes to the system's keychain. The existing core's variable.
pub const ENV_KEYRING_WRITE: &str = "MCPPROXY_KEYRING_WRITE";
/// Log filter of both programs, in the syntax of the `tracing` environment filter.
pub const ENV_LOG: &str = "MCPPROXY_LOG";

/// Request header that names the caller: `tray/<version>`, `cli/<version>`, `mcp/<version>`.
pub const HEADER_CLIENT: &str = "X-MCPProxy-Client";
/// Request header that carries the API key over TCP.
pub const HEADER_API_KEY: &str = "X-API-Key";

/// TCP address when the configuration names none.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Path of the MCP endpoint.
pub const MCP_PATH: &str = "/mcp";
/// Path of the MCP endpoint that shows every server's own tools; `/{server}` after it shows one server's.
pub const MCP_ALL_PATH: &str = "/mcp/all";
/// `/mcp` with the search tools, whatever the routing mode; the existing core's path.
pub const MCP_CALL_PATH: &str = "/mcp/call";
/// The existing core's path for code execution, which does not exist here: the same as [`MCP_CALL_PATH`].
pub const MCP_CODE_PATH: &str = "/mcp/code";
/// `/mcp` for the servers of one profile, whose name comes next.
pub const MCP_PROFILE_PATH: &str = "/mcp/p";

/// Every variable of our own, and the two that are not ours but that we obey.
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

/// Whether a variable is one of this contract: nothing else is read from the environment without a reason of its own.
pub fn is_declared(name: &str) -> bool {
    DECLARED.contains(&name)
}
