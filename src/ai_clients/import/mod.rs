//! Imports servers from the configurations of AI clients and projects, and from pasted text.
//!
//! [`read`] finds the servers in a text of any format, [`normalize`] turns an entry of any shape into ours ([`variables`] and
//! [`bridge`] handle references and `mcp-remote`), [`plan`] removes duplicates and resolves conflicts, [`secrets`] finds
//! values that belong in the keychain, and [`relocate`] removes imported entries from a client's file. All of them are pure;
//! only [`files`] reads and writes files.

pub mod bridge;
pub mod files;
pub mod normalize;
pub mod plan;
pub mod read;
pub mod relocate;
pub mod report;
pub mod secrets;
#[cfg(test)]
mod tests;
pub mod variables;
