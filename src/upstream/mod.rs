//! MCP towards servers: starts or reaches each one, keeps its session and lists what it offers.

pub mod admission;
pub mod approvals;
pub mod concurrency;
pub mod connect;
pub mod connect_error;
pub mod error;
pub mod health;
pub mod isolation;
pub mod list;
pub mod oauth;
pub mod offers;
pub mod pool;
pub mod process;
pub mod resolve;
pub mod server_handles;
pub mod session;
pub mod sign_in_state;
pub mod simple_call;
pub mod snapshot;
#[cfg(target_os = "linux")]
pub mod spawn_thread;
pub mod start_error;
pub mod stderr_tail;
pub mod supervise;
pub mod tool_filter;
pub mod transport;
