//! The command line of the collector.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Receives MCPProxy usage reports and counts installations.
#[derive(Debug, Parser)]
#[command(name = "mcpproxy-collector", version, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// Data directory [default: $STATE_DIRECTORY, else mcpproxy-collector in the user's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Database: a SQLite file, or clickhouse://USER:PASSWORD@HOST:PORT/DATABASE, of which only the host is required [default: collector.db in the data directory]
    #[arg(long, global = true, value_name = "STORE")]
    pub store: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Receive reports and serve the page
    Serve(Serve),
    /// Show all figures
    Stats(Figures),
    /// Show the activation funnel
    Funnel(Figures),
    /// Show how many installations came back
    Retention(Figures),
    /// Show the versions in use
    Versions(Figures),
    /// Add reports from a file of lines {"received_at", "src", "body"}
    Replay(Replay),
    /// Write everything to a file that `replay` reads
    Export(Export),
    /// Copy the database, restore the copy elsewhere, and check it
    Backup(Backup),
    /// Replace the database by a backup, or only check the backup
    Restore(Restore),
    /// Upgrade the database to this version; needs a checked backup
    Migrate,
    /// Show the data stored about one installation
    Received(OneId),
    /// Permanently delete the data of one installation
    Forget(OneId),
    /// Check for problems
    Doctor,
    /// Delete reports older than a number of days
    Purge(Purge),
    /// Recompute every summary and published figure, and compare
    Verify,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address for reports and the public page
    #[arg(long, default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// Address for the operator: full figures, /metrics, /healthz, /readyz
    #[arg(long, default_value = "127.0.0.1:8788")]
    pub admin: SocketAddr,
    /// Serve HTTPS with this certificate chain and key (PEM files)
    #[arg(long, num_args = 2, value_names = ["CHAIN", "KEY"])]
    pub tls: Option<Vec<PathBuf>>,
    /// Trust the last address in X-Forwarded-For; use only behind a reverse proxy that sets it
    #[arg(long)]
    pub trust_proxy: bool,
    /// Reports per hour from one network (/24 or /48)
    #[arg(long, default_value_t = 600)]
    pub limit_reports: u32,
    /// New ids per hour from one network
    #[arg(long, default_value_t = 60)]
    pub limit_new_ids: u32,
    /// Maximum burst of reports from one network or id
    #[arg(long, default_value_t = 100)]
    pub limit_burst: u32,
    /// Reports per hour from one id
    #[arg(long, default_value_t = 20)]
    pub limit_id: u32,
    /// Limit requests from this computer too
    #[arg(long)]
    pub limit_loopback: bool,
    /// MiB of reports to accept while the database fails; with 0 they get status 503
    #[arg(long, default_value_t = 0)]
    pub backlog: u64,
    /// Days after which reports are deleted
    #[arg(long, default_value_t = 400)]
    pub keep_days: u16,
}

/// The output format of figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

#[derive(Debug, Args)]
pub(super) struct Figures {
    /// Installations to count: people, all, or one kind (interactive, ci, cloud_ide, container, headless, unknown)
    #[arg(long, default_value = "people")]
    pub who: String,
    /// One operating system: linux, darwin, windows or other
    #[arg(long, default_value = "")]
    pub os: String,
    /// Last day to count, YYYY-MM-DD [default: the last day with a report]
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// File to read; - is standard input
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// File to write; - is standard output
    #[arg(default_value = "-")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// File to write [default: backups/collector-TIME.db in the data directory]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// Only check the backup
    #[arg(long)]
    pub check: bool,
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct OneId {
    /// The anonymous id, as `mcpproxy telemetry status` shows it
    pub id: String,
}

#[derive(Debug, Args)]
pub(super) struct Purge {
    /// Days to keep
    #[arg(long, default_value_t = 400)]
    pub keep_days: u16,
}
