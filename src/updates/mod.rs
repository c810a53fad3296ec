//! Is a newer release out? It is told, and never fetched: installing is a person's own deed.

pub mod manifest;
pub mod policy;
