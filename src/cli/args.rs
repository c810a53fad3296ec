//! What may be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::output::Format;

/// One local MCP endpoint for every AI client on this computer.
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
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory (default: $MCPPROXY_HOME, else ~/.mcpproxy)
    #[arg(short, long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Output format: table, json or yaml (default: $MCPPROXY_OUTPUT, else table)
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<String>,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
}

impl Globals {
    /// The output format; `--json` before `-o` before the environment.
    pub fn format(&self, environment: Option<&str>) -> Result<Format, String> {
        match (self.json, self.output.as_deref().or(environment)) {
            (true, _) => Ok(Format::Json),
            (false, None) => Ok(Format::Table),
            (false, Some(word)) => Format::from_word(word),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the core in the foreground (what happens without a command, too)
    Serve(ServeArguments),
    /// Show whether a core runs here, and what it says of itself
    Status(StatusArguments),
    /// Add, list and change upstream servers
    #[command(subcommand)]
    Upstream(UpstreamCommand),
    /// List and find the servers' tools
    #[command(subcommand)]
    Tools(ToolsCommand),
    /// Call a tool of a server
    #[command(subcommand)]
    Call(CallCommand),
    /// Show the latest tool calls: which, when, how long, how they ended
    #[command(subcommand)]
    Activity(ActivityCommand),
    /// Show what the core wrote to its log
    Logs(LogsArguments),
    /// Say what needs a person's attention, and what helps
    Doctor,
    /// Lead an AI client that only speaks stdio to the running core
    Stdio,
    /// Write this proxy into an AI client's configuration
    Connect(ConnectArguments),
    /// Take this proxy out of an AI client's configuration
    Disconnect(DisconnectArguments),
    /// Show or finish the takeover of a previous MCPProxy's data directory
    Migrate(crate::cli::migrate::MigrateArguments),
    /// List, choose and change profiles: named sets of servers
    #[command(subcommand)]
    Profile(crate::cli::profile::ProfileCommand),
    /// Keep secrets in the system's keychain, for `${keyring:NAME}` in a server's entry
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Show and change what is known about this installation's use
    #[command(subcommand)]
    Telemetry(TelemetryCommand),
    /// Show the format of the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what makes a shell complete these commands
    Completion(CompletionArguments),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Manual { folder: PathBuf },
    /// Say whether a newer version is out; nothing is downloaded
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
pub struct ServeArguments {
    /// TCP address (default: $MCPPROXY_LISTEN, else `listen` of the configuration)
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
    /// Add a server: `mcpproxy upstream add NAME -- npx -y @scope/server`
    Add(AddArguments),
    /// List the servers
    List,
    /// Remove a server
    Remove(RemoveArguments),
    /// Enable a server
    Enable(ServerName),
    /// Disable a server; its entry is kept
    Disable(ServerName),
    /// Start a server again
    Restart(ServerName),
    /// Sign in to a server by a browser: prints the address and waits for the end
    Login(ServerName),
    /// Forget who signed in to a server
    Logout(ServerName),
    /// Show a server's tools and which of them wait for approval
    Inspect(ServerName),
    /// Show what a server wrote to its standard error
    Logs(ServerLogsArguments),
    /// Approve a server that waits, the named tools as they are now, or all tools that wait
    Approve(ApproveArguments),
}

#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// List the tools, of all servers or of one
    List {
        #[arg(short, long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Find tools by words, as AI clients do
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        /// Most tools to show
        #[arg(short = 'n', long, default_value_t = 10)]
        limit: usize,
    },
    /// Switch tools on
    Enable(SwitchArguments),
    /// Switch tools off: nobody is shown them or can call them
    Disable(SwitchArguments),
}

#[derive(Debug, Args)]
pub struct SwitchArguments {
    /// Full names, as `mcpproxy tools list` shows them
    #[arg(required = true, value_name = "SERVER:TOOL")]
    pub tools: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum ActivityCommand {
    /// List the calls, the latest first
    List {
        #[arg(short, long, value_name = "NAME")]
        server: Option<String>,
        /// success, error or blocked
        #[arg(long)]
        status: Option<String>,
        /// How many calls
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: usize,
    },
    /// Count them
    Summary,
}

/// As which kind of call a tool is called.
#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// Call a tool that only reads
    #[command(name = "tool-read")]
    Read(CallArguments),
    /// Call a tool that changes something
    #[command(name = "tool-write")]
    Write(CallArguments),
    /// Call a tool that may destroy something
    #[command(name = "tool-destructive")]
    Destructive(CallArguments),
}

#[derive(Debug, Args)]
pub struct CallArguments {
    /// The tool's full name
    #[arg(short, long, value_name = "SERVER:TOOL")]
    pub tool: String,
    /// Its arguments, a JSON object; `-` reads them from standard input
    #[arg(
        short,
        long = "json_args",
        alias = "json-args",
        value_name = "JSON",
        default_value = "{}"
    )]
    pub json_args: String,
    /// Why this call is made
    #[arg(long)]
    pub reason: Option<String>,
    /// How sensitive its data is: public, internal, private or unknown
    #[arg(long)]
    pub sensitivity: Option<String>,
}

#[derive(Debug, Args)]
pub struct ServerLogsArguments {
    pub name: String,
    #[command(flatten)]
    pub tail: LogTail,
}

#[derive(Debug, Args)]
pub struct LogsArguments {
    /// What the tray app wrote instead
    #[arg(long)]
    pub tray: bool,
    #[command(flatten)]
    pub tail: LogTail,
}

#[derive(Debug, Args)]
pub struct LogTail {
    /// How many lines
    #[arg(short = 'n', long, default_value_t = 50)]
    pub tail: usize,
    /// Go on with what it writes from now on
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct ServerName {
    pub name: String,
}

#[derive(Debug, Args)]
pub struct ApproveArguments {
    pub name: String,
    /// Tools to approve (default: all that wait)
    #[arg(value_name = "TOOL")]
    pub tools: Vec<String>,
}

#[derive(Debug, Args)]
pub struct AddArguments {
    /// Name of 1 to 64 letters, digits, `-` and `_`; its tools are called NAME:tool
    pub name: String,
    /// Address of a server that is reached over HTTP
    pub url: Option<String>,
    /// Header for every request to the address
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// How an address is spoken to, `streamable-http` if not said: `sse` for a server of the older HTTP+SSE kind, `auto` to
    /// find out
    #[arg(long, value_name = "KIND", value_parser = ["stdio", "http", "streamable-http", "sse", "auto"])]
    pub transport: Option<String>,
    /// Environment variable for the server's process
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Directory the server's process starts in
    #[arg(long, value_name = "DIR")]
    pub working_dir: Option<PathBuf>,
    /// Succeed without a change when the name is taken
    #[arg(long)]
    pub if_not_exists: bool,
    /// Program and arguments of a server that is started here
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Let it in at once: its program runs and its tools are shown without `mcpproxy upstream approve`
    #[arg(long)]
    pub no_quarantine: bool,
}

#[derive(Debug, Args)]
pub struct RemoveArguments {
    pub name: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Succeed without a change when there is no such server
    #[arg(long)]
    pub if_exists: bool,
}

#[derive(Debug, Args)]
pub struct ConnectArguments {
    /// AI client, as `connect --list` calls it
    #[arg(required_unless_present_any = ["list", "all"])]
    pub client: Option<String>,
    /// List the AI clients and which of them are connected
    #[arg(long, conflicts_with = "client")]
    pub list: bool,
    /// Every AI client that is installed
    #[arg(long, conflicts_with_all = ["client", "list"])]
    pub all: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "list")]
    pub dry_run: bool,
    /// Bring back the file of before, if nothing else in it has changed since
    #[arg(long, conflicts_with_all = ["force", "all", "list"])]
    pub undo: bool,
    /// Replace another server of the same name
    #[arg(long, conflicts_with = "list")]
    pub force: bool,
    /// Name of the entry (default: mcpproxy)
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct DisconnectArguments {
    /// AI client, as `connect --list` calls it
    #[arg(required_unless_present = "all")]
    pub client: Option<String>,
    /// Every AI client that is installed
    #[arg(long, conflicts_with = "client")]
    pub all: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Name of the entry (default: whichever leads here)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a JSON Schema of the configuration file, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Keep what standard input says: `printf %s "$TOKEN" | mcpproxy secrets set NAME`
    Set(SecretName),
    /// Forget a secret
    Remove(SecretName),
}

#[derive(Debug, Args)]
pub struct SecretName {
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum TelemetryCommand {
    /// Show what is known, whether it is sent, and why
    Status,
    /// Show the next report as it would be sent; looking changes nothing
    #[command(alias = "show-payload")]
    Show,
    /// Check a payload against both nets: exit 0 when it is clean, 1 when it is not
    Verify(Input),
    /// Show what kind of machine this is, and which rule decided
    Explain(From),
    /// Switch it on
    #[command(alias = "on")]
    Enable,
    /// Switch it off, at once and without a word about it to anybody
    #[command(alias = "off")]
    Disable,
    /// Show what the collector stores for this installation
    Received,
    /// Delete what the collector stores for this installation, and use a new id from now on
    Forget(ForgetArguments),
}

#[derive(Debug, Args)]
pub struct ForgetArguments {
    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Input {
    /// File with JSON; `-` or nothing means standard input
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct From {
    /// Observation to explain instead of this machine; `-` means standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
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
    fn everything_after_two_dashes_is_the_servers_own() {
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
