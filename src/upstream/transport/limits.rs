//! Limits of what is read from a server, the same for every transport.

/// The longest message that is read.
pub const LONGEST_ANSWER: usize = rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH;

/// The longest notification that is read: log messages and progress go to many sessions.
pub const LONGEST_NOTIFICATION: usize = 256 << 10;

/// The error for the caller of a longer response.
pub fn too_long(limit: usize) -> String {
    format!("the server's response exceeds {} MiB; request less at once", limit >> 20)
}
