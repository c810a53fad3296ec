//! The MCP side towards clients: `/mcp` offers a handful of tools that lead to all the others, `/mcp/all` all the
//! others themselves.

pub mod call_log;
pub mod direct_mode;
pub mod fast_path;
pub mod http;
pub mod input_required;
pub mod profile;
pub mod relay;
pub mod search_mode;
pub mod tool_calls;

pub use crate::gateway::http::json_rpc_errors::explain;
pub use crate::gateway::search_mode::handler::Handler;

pub use crate::gateway::direct_mode::handler::DirectHandler;
pub use crate::gateway::http::empty_event_compat::without_priming;
pub use crate::gateway::http::session_store::PersistentSessions;
pub use fast_path::{FastPath, Sessions, Tools, fast_path_middleware};
pub use tool_calls::Proxy;
