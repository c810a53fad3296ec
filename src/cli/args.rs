//! The commands and their arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::format::Format;

pub use crate::cli::settings_args::{
    AddFoundArguments, ConfigCommand, ConnectArguments, DisconnectArguments, ForgetArguments, From, ImportArguments,
    Input, SecretName, SecretsCommand, TelemetryCommand,
};

/// Connect all your AI clients to all your MCP servers through one local endpoint
#[derive(Debug, Parser)]
#[command(name = "mcpproxy", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Args)]
pub struct Globals {
    /// Configuration file (default: mcp_config.json in the data directory)
    #[arg(short, long, global = true, display_order = 901, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory (default: $MCPPROXY_HOME, else ~/.mcpproxy)
    #[arg(short, long, global = true, display_order = 902, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Output format: table, json or yaml (default: $MCPPROXY_OUTPUT, else table)
    #[arg(short, long, global = true, display_order = 903, value_name = "FORMAT")]
    pub output: Option<String>,
    /// Same as `-o json`
    #[arg(long, global = true, display_order = 904, conflicts_with = "output")]
    pub json: bool,
    /// Only print errors and requested data
    #[arg(short, long, global = true, display_order = 905)]
    pub quiet: bool,
}

impl Globals {
    /// The output format: `--json` wins over `-o`, and `-o` over the environment.
    pub fn format(&self, environment: Option<&str>) -> Result<Format, String> {
        match (self.json, self.output.as_deref().or(environment)) {
            (true, _) => Ok(Format::Json),
            (false, None) => Ok(Format::Table),
            (false, Some(name)) => Format::from_name(name),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the help and the status: `mcpproxy` at a terminal
    #[command(name = "overview", hide = true)]
    Help,
    /// Run the proxy in the foreground (the default without a command and a terminal)
    Serve(ServeArguments),
    /// Stop MCPProxy, and the servers that it runs
    Stop,
    /// Show whether MCPProxy is running, where it listens, and its servers
    Status(StatusArguments),
    /// Add a server from a registry
    #[command(
        after_help = "Asks for what the server needs; secrets go into the keychain. It does not run until you approve it.\n\nExamples:\n  mcpproxy registry search airtable\n  mcpproxy add airtable-mcp-server\n  mcpproxy add io.github.domdomegg/airtable-mcp-server --option oci --env 'AIRTABLE_API_KEY=${keyring:airtable}'"
    )]
    Add(AddFoundArguments),
    /// Search registries for servers, and choose which ones are searched
    #[command(subcommand)]
    Registry(crate::cli::registry::RegistryCommand),
    /// Add, list and change upstream servers
    #[command(subcommand)]
    Upstream(UpstreamCommand),
    /// List, search and turn on or off the servers' tools
    #[command(subcommand)]
    Tools(ToolsCommand),
    /// Call a tool of a server
    #[command(subcommand)]
    Call(CallCommand),
    /// Show recorded tool calls, decisions and changes
    #[command(
        subcommand,
        after_help = "Examples:\n  mcpproxy activity list --server github --status error\n  mcpproxy activity watch\n  mcpproxy activity export --format csv > calls.csv"
    )]
    Activity(crate::cli::activity::ActivityCommand),
    /// Open the web UI in your browser
    Ui(crate::cli::ui::UiArguments),
    /// Show the core's log
    Logs(LogsArguments),
    /// Check for problems and suggest fixes
    #[command(
        after_help = "Examples:\n  mcpproxy doctor\n  mcpproxy doctor --server github\n  mcpproxy doctor fix MCPX_OAUTH_REAUTH_REQUIRED --server github --execute\n  mcpproxy doctor list-codes MCPX_HTTP_401"
    )]
    Doctor(DoctorArguments),
    /// Scan tools for hidden instructions and other signs of an attack
    Scan(ScanArguments),
    /// Bridge a stdio-only AI client to the running proxy
    Stdio,
    /// Add MCPProxy to an AI client's configuration
    #[command(
        after_help = "Examples:\n  mcpproxy connect --list\n  mcpproxy connect cursor --dry-run\n  mcpproxy connect --all"
    )]
    Connect(ConnectArguments),
    /// Remove MCPProxy from an AI client's configuration
    Disconnect(DisconnectArguments),
    /// Start MCPProxy, connect AI clients, import or add servers, approve them, and test it with a real call
    #[command(after_help = "Every step shows what it changes, can be skipped and says how to undo it.")]
    Setup(SetupArguments),
    /// Remove MCPProxy from your AI clients, from launch at login and from the keychain
    #[command(after_help = "Examples:\n  mcpproxy uninstall --dry-run\n  mcpproxy uninstall --yes")]
    Uninstall(UninstallArguments),
    /// Show or finish the takeover of the Go core's data directory
    Migrate(crate::cli::migrate::MigrateArguments),
    /// Show how to make this computer trust the certificate of `tls.enabled`
    TrustCert,
    /// List, choose and change profiles: named sets of servers
    #[command(subcommand)]
    Profile(crate::cli::profile::ProfileCommand),
    /// Import servers from AI clients, files or pasted text
    #[command(
        after_help = "Examples:\n  mcpproxy import --all\n  mcpproxy import --from cursor --only github --dry-run\n  mcpproxy import .mcp.json\n  pbpaste | mcpproxy import -\n  mcpproxy import --all --move    # once approved: remove them from the clients"
    )]
    Import(ImportArguments),
    /// Store secrets in the system keychain, for `${keyring:NAME}` in a server's entry
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// View or change anonymous usage reporting
    #[command(subcommand)]
    Telemetry(TelemetryCommand),
    /// Show, check or edit the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a shell completion script
    Completion(CompletionArguments),
    /// Print names for shell completion
    #[command(hide = true)]
    Names { kind: Names },
    /// Write the manual pages to a folder
    #[command(hide = true)]
    Manual { folder: PathBuf },
    /// Check for a newer version (does not download it)
    Update,
    /// Show the version
    Version,
}

impl Default for Command {
    fn default() -> Command {
        Command::Serve(ServeArguments { listen: None })
    }
}

#[derive(Debug, Args)]
pub struct CompletionArguments {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ScanArguments {
    /// Only the tools of this server
    pub server: Option<String>,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// TCP address to listen on (default: $MCPPROXY_LISTEN, else `listen` in the configuration)
    #[arg(short, long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Show the API key in full
    #[arg(long)]
    pub show_key: bool,
}

#[derive(Debug, Subcommand)]
pub enum UpstreamCommand {
    /// Add a server
    #[command(
        after_help = "Examples:\n  mcpproxy upstream add fs -- npx -y @modelcontextprotocol/server-filesystem ~\n  mcpproxy upstream add sentry https://mcp.sentry.dev/mcp\n  mcpproxy upstream add api https://example.com/mcp --header 'Authorization: Bearer ${keyring:api}'"
    )]
    Add(AddArguments),
    /// Add a server from a JSON entry, as other programs write it
    #[command(
        after_help = "Examples:\n  mcpproxy upstream add-json github '{\"url\": \"https://api.githubcopilot.com/mcp/\"}'"
    )]
    AddJson(AddJsonArguments),
    /// Change settings of a server
    #[command(
        after_help = "Examples:\n  mcpproxy upstream set fs --env LOG_LEVEL=debug\n  mcpproxy upstream set fs --timeout 2m -- npx -y @modelcontextprotocol/server-filesystem ~"
    )]
    Set(SetArguments),
    /// List the servers
    #[command(visible_alias = "ls")]
    List,
    /// Remove a server
    #[command(visible_alias = "rm")]
    Remove(RemoveArguments),
    /// Start a server that was disabled
    Enable(ServerName),
    /// Stop a server and keep its configuration
    Disable(ServerName),
    /// Restart a server
    Restart(ServerName),
    /// Sign in to a server in your browser (OAuth)
    Login(ServerName),
    /// Sign out of a server (delete its tokens)
    Logout(ServerName),
    /// Show a server's tools and which need approval
    Inspect(ServerName),
    /// Show a server's log (its stderr)
    Logs(ServerLogsArguments),
    /// Approve a new server, or its new or changed tools (all, or those named)
    #[command(
        after_help = "Shows what will run and asks. Without a terminal, use --yes.\n\nExamples:\n  mcpproxy upstream approve fs\n  mcpproxy upstream approve fs read_file --yes\n  mcpproxy upstream approve --all"
    )]
    Approve(ApproveArguments),
}

#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// List the tools of all servers, or of one
    List {
        /// Only this server
        #[arg(short, long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Search for tools as AI clients do
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        /// Maximum number of tools to show
        #[arg(short = 'n', long, default_value_t = 10)]
        limit: usize,
        /// Show why each tool ranks where it does, and how many searches led to a call
        #[arg(long)]
        explain: bool,
    },
    /// Turn tools on
    Enable(SwitchArguments),
    /// Turn tools off: clients can neither see nor call them
    Disable(SwitchArguments),
}

#[derive(Debug, Args)]
pub struct SwitchArguments {
    /// Full tool names (see `mcpproxy tools list`)
    #[arg(required = true, value_name = "SERVER:TOOL")]
    pub tools: Vec<String>,
}

/// The kind of call.
#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// Call a tool that only reads
    #[command(name = "tool-read")]
    Read(CallArguments),
    /// Call a tool that changes something
    #[command(name = "tool-write")]
    Write(CallArguments),
    /// Call a tool that may delete or overwrite something
    #[command(name = "tool-destructive")]
    Destructive(CallArguments),
}

#[derive(Debug, Args)]
pub struct CallArguments {
    /// Full name of the tool
    #[arg(short, long, value_name = "SERVER:TOOL")]
    pub tool: String,
    /// The tool's arguments as a JSON object; `-` reads them from standard input
    #[arg(
        short,
        long = "json_args",
        alias = "json-args",
        value_name = "JSON",
        default_value = "{}"
    )]
    pub json_args: String,
    /// Why you make this call
    #[arg(long)]
    pub reason: Option<String>,
    /// Sensitivity of the data
    #[arg(long, value_parser = ["public", "internal", "private", "unknown"])]
    pub sensitivity: Option<String>,
}

#[derive(Debug, Args)]
pub struct SetupArguments {
    /// Do every step without asking
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct UninstallArguments {
    /// Uninstall without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Keep the backups of AI clients' files
    #[arg(long)]
    pub keep_backups: bool,
}

/// The kind of names that a shell completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Names {
    Servers,
    Tools,
    Clients,
    Profiles,
    Codes,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DoctorArguments {
    /// Check only this server
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Same as `list-codes`
    #[arg(long, conflicts_with = "server")]
    pub codes: bool,
    #[command(subcommand)]
    pub command: Option<DoctorCommand>,
}

#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// Fix a problem of a server (without `--execute`, only shows what would change)
    Fix(FixArguments),
    /// List the codes of all problems, or explain one
    ListCodes {
        /// Code to explain
        code: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct FixArguments {
    /// Code of the problem, as `mcpproxy doctor` shows it
    pub code: String,
    /// Server that has the problem
    #[arg(long, value_name = "NAME")]
    pub server: String,
    /// Which fix to run, if the code has several
    #[arg(long, value_name = "KEY")]
    pub fixer: Option<String>,
    /// Make the change
    #[arg(long)]
    pub execute: bool,
}

#[derive(Debug, Args)]
pub struct ServerLogsArguments {
    pub name: String,
    #[command(flatten)]
    pub tail: LogTail,
}

#[derive(Debug, Args)]
pub struct LogsArguments {
    /// Show the tray app's log instead
    #[arg(long)]
    pub tray: bool,
    #[command(flatten)]
    pub tail: LogTail,
}

#[derive(Debug, Args)]
pub struct LogTail {
    /// Number of lines to show
    #[arg(short = 'n', long, default_value_t = 50)]
    pub tail: usize,
    /// Follow the log (like tail -f)
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct ServerName {
    pub name: String,
}

#[derive(Debug, Args)]
pub struct ApproveArguments {
    /// Server to approve
    #[arg(required_unless_present = "all")]
    pub name: Option<String>,
    /// Tools to approve (default: all that need approval)
    #[arg(value_name = "TOOL")]
    pub tools: Vec<String>,
    /// All servers and tools that need approval
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
    /// Start a new local server in isolation and without secrets first, to list its tools; exactly these are approved
    #[arg(long, requires = "name")]
    pub inspect: bool,
    /// Approve without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Wait until the servers are connected, at most this many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "180")]
    pub wait: Option<u64>,
}

#[derive(Debug, Args)]
pub struct AddArguments {
    /// Server name: 1-64 letters, digits, `-` or `_`; its tools are called NAME:tool
    pub name: String,
    /// URL of a remote (HTTP) server
    pub url: Option<String>,
    /// HTTP header to send with every request
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Transport for a URL [default: streamable-http]; `sse` for legacy HTTP+SSE servers, `auto` to detect
    #[arg(long, value_name = "KIND", value_parser = ["stdio", "http", "streamable-http", "sse", "auto"])]
    pub transport: Option<String>,
    /// Environment variable for a local server
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Working directory of a local server
    #[arg(long, value_name = "DIR")]
    pub working_dir: Option<PathBuf>,
    /// Do nothing if a server with this name exists
    #[arg(long)]
    pub if_not_exists: bool,
    /// Command that runs a local (stdio) server
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Approve immediately: run it and show its tools without review
    #[arg(long)]
    pub no_quarantine: bool,
}

#[derive(Debug, Args)]
pub struct AddJsonArguments {
    /// Server name: 1-64 letters, digits, `-` or `_`
    pub name: String,
    /// The entry: `{"command": …, "args": …}` or `{"url": …}`; `-` reads standard input
    #[arg(value_name = "JSON")]
    pub entry: String,
    /// Approve immediately: run it and show its tools without review
    #[arg(long)]
    pub no_quarantine: bool,
}

#[derive(Debug, Args)]
pub struct SetArguments {
    /// Server to change
    pub name: String,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Remove an environment variable
    #[arg(long, value_name = "NAME")]
    pub unset_env: Vec<String>,
    /// Set an HTTP header
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Remove an HTTP header
    #[arg(long, value_name = "NAME")]
    pub unset_header: Vec<String>,
    /// Replace the arguments of the command; repeat for each
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, conflicts_with = "command")]
    pub arg: Vec<String>,
    /// Replace the URL
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Replace the working directory
    #[arg(long, value_name = "DIR")]
    pub working_dir: Option<PathBuf>,
    /// Maximum duration of the start, such as `90s` or `2m`
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Replace the command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveArguments {
    pub name: String,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
    /// Do nothing if no server has this name
    #[arg(long)]
    pub if_exists: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_after_two_dashes_belongs_to_the_server() {
        let parsed = Arguments::try_parse_from([
            "mcpproxy", "upstream", "add", "x", "--", "npx", "-y", "pkg", "-o", "json",
        ])
        .unwrap();
        let Some(Command::Upstream(UpstreamCommand::Add(add))) = parsed.command else {
            panic!("upstream add")
        };
        assert_eq!(add.command, ["npx", "-y", "pkg", "-o", "json"]);
        assert_eq!(parsed.globals.output, None);
    }
}
