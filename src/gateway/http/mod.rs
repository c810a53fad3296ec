//! HTTP for AI clients: JSON-RPC errors, stored sessions, compatibility with older clients.

pub mod empty_event_compat;
pub mod endpoints;
pub mod headers;
pub mod invalid_request;
pub mod json_rpc_errors;
pub mod lenient;
pub mod paths;
pub mod raw_results;
pub mod session_store;
