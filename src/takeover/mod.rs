//! Takes over a data directory of the Go core without lifting a restriction: `config.db` is read (never written), what it says
//! becomes a plan, and the plan becomes approvals, edits of the configuration, and a record.

pub mod bolt;
pub mod database;
pub mod go_hash;
pub mod imported;
pub mod plan;
pub mod record;
pub mod records;
pub mod settings;

#[cfg(test)]
mod tests;
