//! What may be known about a run, and what may leave this computer: closed words only. Knows neither core nor tray.

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
