//! Looks for tool poisoning in what a server says about its tools, and for secrets in arguments and results.
//!
//! Everything here is offline and deterministic: rules are data, findings are values, and nothing is sent or run.
//! The other modules decide what a finding means; this one only says what it saw, where, and why that matters.

mod characters;
mod encoded;
mod finding;
mod names;
mod normal_text;
mod parameters;
mod phrase_rules;
mod phrases;
pub mod sensitive;
mod tool;

pub use finding::{Finding, Severity, worst};
pub use tool::{NeighbourTool, Neighbours, RuleInfo, rules, scan_text, scan_tool};
