//! Connects AI clients: writes an entry for this proxy into their own configuration files, and takes it back.
//!
//! Everything is decided in values: [`known_clients`] knows who there is and where their files are, [`entry`] what an entry must say
//! ([`stdio_entry`] to a client that takes no address), [`format`] how a file with it reads, [`plan`] what is to be done, [`preview`] and [`dry_run_diff`] what a person may see of it. Only [`edit`]
//! touches the disk.

pub mod backups;
pub mod dry_run_diff;
pub mod edit;
pub mod entry;
pub mod format;
pub mod known_clients;
pub mod plan;
pub mod preview;
pub mod refusal;
pub mod stdio_entry;
#[cfg(test)]
pub mod tests;
