//! Connects AI clients: writes an entry for this proxy into their own configuration files, and takes it back.
//!
//! Everything is decided in values: [`clients`] knows who there is and where their files are, [`proxy`] what an entry must say
//! ([`bridge`] to a client that takes no address), [`file_text`] how a file with it reads, [`plan`] what is to be done, [`preview`] and [`diff`] what a person may see of it. Only [`apply`]
//! touches the disk.

pub mod apply;
pub mod bridge;
pub mod clients;
mod diff;
pub mod file_text;
mod json_text;
mod plan;
mod preview;
pub mod proxy;
mod toml_text;
mod yaml_text;

#[cfg(test)]
mod tests;
