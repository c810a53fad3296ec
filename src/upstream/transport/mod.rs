//! How bytes reach a server: stdio, streamable HTTP and legacy HTTP+SSE, each with its limits.

pub mod as_written;
pub mod error_text;
pub mod event_stream;
pub mod http;
pub mod http_client;
pub mod http_error;
pub mod legacy_sse;
pub mod legacy_sse_events;
pub mod limits;
pub mod message;
pub mod network_fault;
pub mod repair;
pub mod resolver;
pub mod stdio;
pub mod stdio_reader;
pub mod stray_output;
pub mod throttle;
