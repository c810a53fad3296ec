//! Connects AI clients: adds an entry for this proxy to their own configuration files, and removes it.
//!
//! Decisions are pure functions on values: `known_clients` lists the clients and where their files are, `entry` and
//! `stdio_entry` build our entry, `format` edits a file's text, `plan` decides what to change, and `preview` and
//! `dry_run_diff` show the change without secrets. `import` reads other servers from these files.
//! Only `edit`, `backups` and `import::files` touch the disk.

pub mod backups;
pub mod dry_run_diff;
pub mod edit;
pub mod entry;
pub mod format;
pub mod import;
pub mod known_clients;
pub mod own_entry;
pub mod plan;
pub mod preview;
pub mod refusal;
pub mod stdio_entry;
#[cfg(test)]
pub mod tests;
