//! MCPProxy for the desktop: one local MCP endpoint for every AI client, and a tray app that keeps it there.
//!
//! One package, two programs. Arrows point down only, held by `tests/rooms.rs`:
//! `bin → {tray, core} → {client, telemetry} → os → contract`; tray and core never name each other.

/// What two programs and an installer must agree on: names, paths, endpoint, handshake, REST types. Opens nothing.
pub mod contract;

/// Does one thing to the machine and says how it went: files, locks, processes, local streams. Never asks why.
pub mod os;

/// Speaks the REST and event interface to a core, over its local stream or TCP.
pub mod client;

/// What a person sees and touches: icon, menu, first-run window, launch at login, and a core that is always there.
#[cfg(feature = "tray")]
pub mod tray;
