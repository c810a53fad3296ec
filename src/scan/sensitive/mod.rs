//! Finds secrets and personal numbers in arguments and results: keys, tokens, private keys, cards, credential files.
//!
//! It reads raw text, JSON included, without parsing it: a call must not get slower than 50 µs per 4 kB.

mod assignments;
mod cards;
mod decision;
mod find;
mod formats;
mod keys;
mod paths;
mod value;

pub use decision::{Action, Decision, Policy, decide, redact_json};
pub use find::{find, rules};
pub use value::{Kind, Sensitive};
