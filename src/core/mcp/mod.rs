//! The MCP side towards clients: `/mcp` offers a handful of tools that lead to all the others.

mod definitions;
mod excerpt;
mod handler;
mod kept_results;
mod proxy;

pub use handler::Handler;
pub use proxy::Proxy;
