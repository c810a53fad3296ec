//! How bytes reach a server: stdio, streamable HTTP and legacy HTTP+SSE, each with its limits.

pub mod error_text;
pub mod http;
pub mod http_error;
pub mod legacy_sse;
pub mod legacy_sse_events;
pub mod limits;
pub mod oversized_line;
pub mod oversized_response;
pub mod stdio;
