//! Registries of MCP servers: the official registry protocol (`/v0.1/servers`) as values, the entry that a record becomes,
//! and the search that fetches records when the user asks for it.
//!
//! Anybody can publish a record. It is read as hostile input: names, versions, options and URLs have strict forms, no text
//! reaches a shell, and a server from a registry needs approval like any other.

mod arguments;
mod cache;
mod entry;
mod fetch;
mod identifier;
mod lookup;
mod options;
mod query;
mod record;
mod source;
mod template;
#[cfg(test)]
mod tests;

pub use entry::{Answers, BuildError, Built, Missing};
pub use lookup::{Found, MOST_SERVERS, Registries, RegistryError};
pub use source::{check_source, defaults, id_of_url};
