//! The MCP proxy and its command line. Does not know that a tray exists.

pub mod cli;
mod config;
mod listen;
mod mcp;
mod rest;
mod run_facts;
mod serve;
mod tools;
mod upstream;
mod write_log;
