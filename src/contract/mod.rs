//! Names, types and rules that the core, the tray and the installers share. Pure values without I/O.

pub mod api;
pub mod endpoint;
pub mod exact_numbers;
pub mod exit_code;
pub mod failure;
pub mod flag;
pub mod instance_root;
pub mod isolation;
pub mod json_rpc;
pub mod launch;
pub mod lenient;
pub mod line_difference;
pub mod loopback;
pub mod names;
pub mod platform;
pub mod registry;
pub mod review;
pub mod review_keys;
pub mod review_text;
pub mod run_facts;
pub mod scan;
pub mod server_log;
pub mod setup;
pub mod sidecar;
pub mod visible_text;
pub mod words;
