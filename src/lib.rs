//! MCPProxy for the desktop: one local MCP endpoint for every AI client, and a tray app that keeps it there.
//!
//! One package, two programs. Arrows point down only, held by `tests/rooms.rs`:
//! `bin → {tray, core} → {client, telemetry} → os → contract`; tray and core never name each other.

/// What two programs and an installer must agree on: names, paths, endpoint, handshake, REST types. Opens nothing.
pub mod contract;

/// Does one thing to the machine and says how it went: files, locks, processes, local streams. Never asks why.
pub mod os;

/// Speaks the REST and SSE interface over an endpoint; used by the tray and the CLI.
pub mod client;

/// What may be known about a run, and what may leave this computer: closed words only. Knows neither core nor tray.
pub mod telemetry;

/// The MCP proxy and its command line. Does not know that a tray exists.
pub mod core;

/// What a person sees and touches: model, view, supervisor, first run, launch at login.
#[cfg(feature = "tray")]
pub mod tray;

/// Receives usage reports and counts people with them. Knows neither core nor tray.
#[cfg(feature = "collector")]
pub mod collector;
