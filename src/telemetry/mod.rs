//! What may be known about a run, and what may leave this computer: closed words only. Knows neither core nor tray.

pub mod activation;
pub mod autostart;
pub mod client_name;
mod container;
pub mod env_kind;
pub mod observation;
pub mod observe;
pub mod open_store;
pub mod remember;
pub mod vendors;
