//! The running core: startup, router, REST, events, background jobs. Independent of the tray.

pub mod connections;
pub mod encryption;
pub mod event_log;
pub mod heartbeat;
pub mod jobs;
pub mod listeners;
mod log_limit;
pub mod logging;
pub mod page;
pub mod rest;
pub mod router;
pub mod run;
pub mod run_facts;
pub mod startup_error;
pub mod state;
pub mod take_over;
#[cfg(target_os = "linux")]
pub mod tls;
