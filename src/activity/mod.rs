//! The persistent record of calls, decisions and changes.
//!
//! A caller passes a value to `ActivityLog` and continues; a separate thread examines it for sensitive data and
//! stores it.

pub mod bodies;
pub mod call;
mod call_tokens;
mod counted_sessions;
mod describe;
mod export;
mod filter;
mod header;
mod log;
mod prefilter;
mod reading;
mod savings;
mod store;
mod summary;
mod token_totals;
mod totals;
mod totals_tables;
mod writer;

pub use bodies::{Bodies, BodyPolicy};
pub use call::{Call, Change, Listing};
pub use export::Format;
pub use filter::Filter;
pub use log::ActivityLog;
pub use store::Retention;
pub use summary::UsageWindow;
