//! The only module that changes servers and settings. REST, the CLI, the tray and the tools for models all call it.

pub mod actor;
pub mod approve_clean;
pub mod fixes;
pub mod history;
mod journal;
pub mod live_config;
pub mod registries;
pub mod review;
pub mod scan_tools;
pub mod servers;
pub mod whole_config;
