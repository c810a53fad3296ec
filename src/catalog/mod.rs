//! Tools of all upstream servers as one searchable set, and the rules for calling one.

pub mod annotations;
pub mod call_variant;
pub mod entry;
mod interner;
mod lexicon;
pub mod query;
pub mod search_index;
pub mod spelling;
pub mod synonyms;
pub mod term_index;
pub mod tokenizer;
pub mod tool_id;
pub mod translations;
pub mod unavailable;
pub mod weights;
