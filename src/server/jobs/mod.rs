//! Background jobs of the running core: reindexing, configuration changes, update checks, usage reports.

pub mod check_for_updates;
pub mod reindex;
pub mod send_heartbeats;
pub mod tell_activity;
pub mod watch_config;
