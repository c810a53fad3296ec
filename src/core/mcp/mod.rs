//! The MCP side towards clients: `/mcp` offers a handful of tools that lead to all the others, `/mcp/all` all the
//! others themselves.

mod announcements;
mod arguments;
mod definitions;
mod describe;
mod excerpt;
mod explain;
mod handler;
mod kept_results;
pub mod malformed;
mod management;
mod parked;
mod pass_through;
mod priming;
mod proxy;
mod qualified_name;
mod refusals;
mod relay;
mod remembered_sessions;
mod retrieve;
mod short_way;
mod signature;

pub use explain::explain;
pub use handler::Handler;

pub use pass_through::PassThrough;
pub use priming::without_priming;
pub use proxy::Proxy;
pub use remembered_sessions::RememberedSessions;
pub use short_way::{Sessions, ShortWay, Tools, short_way};
