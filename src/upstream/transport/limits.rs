//! Limits of what is read from a server, the same for every transport.

/// The longest message of a server that is taken, over HTTP as over its standard output.
pub const LONGEST_ANSWER: usize = rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH;

/// What whoever waits for a longer one is told.
pub fn too_long(limit: usize) -> String {
    format!("the server's answer is longer than {} MiB and was not taken: ask it for less at once", limit >> 20)
}
