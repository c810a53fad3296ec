//! What is wrong with a server, as a stable code, and what to do about it: values and pure functions.
//!
//! `fault` is the typed failure, which the place that sees the failure creates. `code` names its kind. `catalog` holds
//! the text and the remedies of each code, from which `docs/errors/` is generated. `diagnosis` fills in the user's own names.

pub mod catalog;
pub mod code;
pub mod diagnosis;
pub mod fault;
pub mod install;
pub mod page;
