//! Background jobs of the running core: reindexing, configuration changes, update checks, usage reports, scans of new tools.

pub mod check_for_updates;
pub mod reindex;
pub mod scan_new_tools;
pub mod send_heartbeats;
pub mod tell_activity;
pub mod watch_config;
