//! What may be known about a run, and what may leave this computer: closed words only. Knows neither core nor tray.

pub mod activation;
pub mod allowed;
pub mod anonymity;
pub mod autostart;
pub mod client_name;
pub mod collect_identity;
pub mod collector;
pub mod consent;
mod container;
pub mod env_kind;
pub mod heartbeat;
pub mod identity;
pub mod observation;
pub mod observe;
pub mod open_store;
pub mod payload;
pub mod remember;
pub mod send_heartbeat;
mod sensitive_text;
pub mod strict_json;
pub mod vendors;
mod views;
