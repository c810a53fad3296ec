//! Tools of all upstream servers as one searchable set, and the rules for calling one.

pub mod hints;
pub mod index;
pub mod intent;
pub mod locked;
mod synonyms;
pub mod tool_id;
mod words;
