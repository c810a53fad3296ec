//! Receives usage reports and counts installations: a service that anyone can host and inspect.
//!
//! The rules are pure functions on values: `judge` checks a body, `repeat` recognises repeats, `identity` and
//! `installation` apply the rules of identity, days and lifetime flags, and `census` counts. All other modules move
//! values between them.

pub mod admit;
pub mod audience;
pub mod census;
pub mod cli;
mod fields;
pub mod figures;
pub mod forgotten;
pub mod identity;
pub mod installation;
pub mod journal;
pub mod judge;
pub mod lines;
mod page;
pub mod place;
pub mod public;
pub mod published;
pub mod repeat;
pub mod report;
pub mod retention;
pub mod server;
pub mod stats;
pub mod store;
