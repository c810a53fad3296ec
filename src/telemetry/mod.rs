//! What may be known about a run, and what may leave this computer: closed words only. Knows neither core nor tray.

mod container;
pub mod env_kind;
pub mod observation;
pub mod observe;
pub mod vendors;
