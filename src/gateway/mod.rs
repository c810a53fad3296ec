//! MCP for AI clients: `/mcp` searches and calls the tools of all servers, `/mcp/all` lists them directly.

pub mod call_arguments;
pub mod call_log;
pub mod call_record;
pub mod direct_mode;
mod failures;
pub mod fast_path;
mod fast_path_messages;
pub mod http;
pub mod input_required;
pub mod profile;
pub mod relay;
pub mod request_meta;
pub mod search_mode;
mod sensitive_data;
pub mod session_registry;
pub mod session_usage;
pub mod tool_answer;
pub mod tool_calls;

pub use http::endpoints::Endpoints;
pub use tool_calls::Proxy;
