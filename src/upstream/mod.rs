//! MCP towards servers: starts or reaches each one, keeps its session and lists what it offers.

pub mod admission;
pub mod approvals;
pub mod concurrency;
pub mod list;
pub mod oauth;
pub mod pool;
pub mod process;
pub mod session;
pub mod snapshot;
#[cfg(target_os = "linux")]
pub mod spawn_thread;
pub mod supervise;
pub mod tool_filter;
pub mod transport;
