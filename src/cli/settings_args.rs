//! Arguments of the commands for AI clients, registries, settings, secrets and telemetry.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Configuration file to import (JSON, TOML or YAML); `-` reads standard input
    #[arg(conflicts_with_all = ["from", "all", "undo", "relocate"])]
    pub file: Option<PathBuf>,
    /// Import from this AI client (see `connect --list`)
    #[arg(long, value_name = "CLIENT")]
    pub from: Vec<String>,
    /// Import from all AI clients
    #[arg(long, conflicts_with = "from")]
    pub all: bool,
    /// Import only these servers
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub only: Vec<String>,
    /// Show what would be imported without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Also remove servers from the AI client's file once MCPProxy serves them
    #[arg(long = "move")]
    pub relocate: bool,
    /// Restore the servers that `--move` removed from the client's file
    #[arg(long, requires = "from", conflicts_with_all = ["only", "dry_run", "relocate", "keychain", "no_keychain"])]
    pub undo: bool,
    /// Move secrets in the entries to the system keychain
    #[arg(long, conflicts_with = "no_keychain")]
    pub keychain: bool,
    /// Keep secrets in the configuration file without asking
    #[arg(long)]
    pub no_keychain: bool,
    /// Do not ask; without a source, import from all AI clients
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ConnectArguments {
    /// Client ID (see `connect --list`)
    pub client: Option<String>,
    /// List the AI clients and whether they are connected
    #[arg(long, conflicts_with = "client")]
    pub list: bool,
    /// All installed AI clients
    #[arg(long, conflicts_with_all = ["client", "list"])]
    pub all: bool,
    /// Show what would change without changing anything
    #[arg(long, conflicts_with = "list")]
    pub dry_run: bool,
    /// Restore the client's file as it was before `connect` (only if nothing else in it changed)
    #[arg(long, conflicts_with_all = ["force", "all", "list"])]
    pub undo: bool,
    /// Replace a different server with the same name
    #[arg(long, conflicts_with = "list")]
    pub force: bool,
    /// Name of the entry (default: mcpproxy)
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    pub name: Option<String>,
    /// Show the client only the servers of this profile
    #[arg(long, value_name = "NAME", conflicts_with_all = ["list", "undo"])]
    pub profile: Option<String>,
}

#[derive(Debug, Args)]
pub struct DisconnectArguments {
    /// Client ID (see `connect --list`)
    pub client: Option<String>,
    /// All installed AI clients
    #[arg(long, conflicts_with = "client")]
    pub all: bool,
    /// Show what would change without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Name of the entry (default: any entry pointing to this proxy)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct AddFoundArguments {
    /// Name of the server in the registry (see `mcpproxy registry search`), or its last part
    #[arg(value_name = "NAME")]
    pub server: String,
    /// Only from this registry
    #[arg(long, value_name = "ID")]
    pub registry: Option<String>,
    /// How to run it: npm, pypi, oci, nuget or remote (see `mcpproxy registry show`)
    #[arg(long, value_name = "KIND")]
    pub option: Option<String>,
    /// Name of the new server (default: from its name in the registry)
    #[arg(long = "name", value_name = "NAME")]
    pub new_name: Option<String>,
    /// Environment variable for a local server
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// HTTP header for a remote server
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Argument, or a part of one or of the URL
    #[arg(long, value_name = "NAME=VALUE")]
    pub arg: Vec<String>,
    /// Keep secrets in the configuration file instead of the keychain
    #[arg(long)]
    pub no_keychain: bool,
    /// Do nothing if a server with this name exists
    #[arg(long)]
    pub if_not_exists: bool,
}

impl AddFoundArguments {
    /// The command with a name and no flag.
    pub fn of(server: String) -> AddFoundArguments {
        AddFoundArguments {
            server,
            registry: None,
            option: None,
            new_name: None,
            env: Vec::new(),
            header: Vec::new(),
            arg: Vec::new(),
            no_keychain: false,
            if_not_exists: false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a JSON Schema of the configuration file, for editors
    Schema,
    /// Print the path of the configuration file
    Path,
    /// Check the configuration file for errors
    Validate,
    /// Open the configuration file in $VISUAL or $EDITOR, and check it afterwards
    Edit,
}

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Store a secret, typed at a hidden prompt or read from standard input
    Set(SecretName),
    /// List the secrets that servers use, and whether they are stored
    #[command(visible_alias = "ls")]
    List,
    /// Delete a secret
    #[command(visible_alias = "rm")]
    Remove(SecretName),
}

#[derive(Debug, Args)]
pub struct SecretName {
    /// Name of the secret: letters, digits, `-`, `_` or `.`
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum TelemetryCommand {
    /// Show whether reports are sent, and why
    Status,
    /// Show the next report exactly as it would be sent
    #[command(alias = "show-payload")]
    Show,
    /// Check that a report contains nothing identifying (exit 0 = clean)
    Verify(Input),
    /// Show which kind of environment this is and which rule decided it
    Explain(From),
    /// Turn telemetry on
    #[command(alias = "on")]
    Enable,
    /// Turn telemetry off immediately (nothing is sent about it)
    #[command(alias = "off")]
    Disable,
    /// Show what the collector stores for this installation
    Received,
    /// Delete what the collector stores for this installation, and use a new ID from now on
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
    /// JSON file (default: standard input, also `-`)
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct From {
    /// Explain this recorded environment instead of the current one; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}
