//! Tools of all upstream servers as one searchable set, and the rules for calling one.

pub mod annotations;
pub mod call_variant;
pub mod search_index;
pub mod synonyms;
pub mod tokenizer;
pub mod tool_id;
pub mod unavailable;
