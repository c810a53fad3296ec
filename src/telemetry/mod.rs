//! Data about this installation that may leave the computer: closed values only. Depends on neither the core nor the
//! tray.

pub mod environment;
pub mod scan;
pub mod store;
pub mod usage_counts;

pub mod ask_collector;
pub mod autostart;
pub mod collector;
pub mod consent;
pub mod heartbeat;
pub mod payload;
pub mod send_heartbeat;
