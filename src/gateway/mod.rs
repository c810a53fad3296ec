//! MCP towards AI clients: `/mcp` searches and calls the tools of all servers, `/mcp/all` lists them directly.

pub mod call_arguments;
pub mod call_log;
pub mod direct_mode;
pub mod fast_path;
mod fast_path_messages;
pub mod http;
pub mod input_required;
pub mod profile;
pub mod relay;
pub mod search_mode;
pub mod session_registry;
pub mod tool_calls;

pub use direct_mode::handler::DirectHandler;
pub use fast_path::{FastPath, Mode, fast_path_middleware};
pub use http::empty_event_compat::without_priming;
pub use http::json_rpc_errors::explain;
pub use http::session_store::PersistentSessions;
pub use search_mode::handler::Handler;
pub use tool_calls::Proxy;
