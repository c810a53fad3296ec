//! The MCP proxy and its command line. Does not know that a tray exists.

mod activity;
mod app;
pub mod cli;
mod config;
mod connect;
mod heartbeat;
mod listen;
mod mcp;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod rest;
mod run_facts;
mod send_heartbeats;
mod serve;
pub mod tools;
mod updates;
mod upstream;
mod use_counts;
mod watch_config;
mod write_log;
