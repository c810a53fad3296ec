//! What two programs and an installer must agree on. Values and words only: opens nothing, asks no system.

pub mod api;
pub mod endpoint;
pub mod exit_code;
pub mod instance_root;
pub mod json_rpc;
pub mod launch;
pub mod names;
pub mod platform;
pub mod review;
pub mod run_facts;
pub mod sidecar;
pub mod visible_text;
