//! MCPProxy for the desktop: one local MCP endpoint for every AI client, and a tray app that keeps it running.
//!
//! MCP requests come in through `gateway` and go out through `upstream::pool`. Approvals are in `upstream::approvals`.
//! Only `control` changes servers, approvals and settings; `config::store` writes the file. ARCHITECTURE.md has more.
//!
//! `tests/rooms.rs` lists which module may import which; imports point down only.

// An item that nothing outside of the crate can reach is not `pub`. Modules of tests are left out.
#![cfg_attr(not(test), warn(unreachable_pub))]

/// Names, paths, endpoints, the launch handshake and the REST types that the programs and installers share. No I/O.
pub mod contract;

/// One operating-system facility per file: files, locks, processes, local streams, the keychain. Decides nothing.
pub mod os;

/// Calls a core's REST API and follows its events; used by the tray and the CLI.
pub mod client;

/// Anonymous usage reports: what may be counted, the scan that every report must pass, consent. Knows neither core nor tray.
pub mod telemetry;

/// Finds tool poisoning in tool definitions and secrets in arguments and results; offline rules as data.
pub mod scan;

/// The persistent record of calls, decisions and changes: values, filters, summaries, and the store.
pub mod activity;

/// What is wrong with a server: typed failures, stable codes, remedies.
pub mod diagnostics;

/// The signed list of releases and the rules for reporting a newer one.
pub mod updates;

/// `mcp_config.json`: typed settings, the document with unknown keys kept, and the store that replaces the file.
pub mod config;

/// Registries of MCP servers: searched when the user asks; a record becomes an entry that needs approval.
pub mod registries;

/// Configuration files of other programs (Claude Code, Cursor, …): finding them and adding or removing our entry.
pub mod ai_clients;

/// Takes over a data directory of the Go core: reads its database, plans what becomes of it.
pub mod takeover;

/// MCP towards servers: transports, sessions, OAuth, approvals.
pub mod upstream;

/// The tools of all servers as one searchable set.
pub mod catalog;

/// The only module that changes servers and settings.
pub mod control;

/// MCP towards AI clients: `/mcp` with search, `/mcp/all` without, and the fast path.
pub mod gateway;

/// The running core: start, router, REST, events, background jobs.
pub mod server;

/// The command line of `mcpproxy`.
pub mod cli;

/// Properties that must hold for any bytes from outside; used by unit tests and `fuzz/`.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

/// The tray app: model, view, supervisor, first run, launch at login.
#[cfg(feature = "tray")]
pub mod tray;

/// Receives usage reports and counts people with them. Knows neither core nor tray.
#[cfg(feature = "collector")]
pub mod collector;
