//! Limits of what is read from a server, the same for every transport.

use std::sync::OnceLock;

use crate::os::memory;

/// The longest message that is read where memory is not limited.
pub const LONGEST_ANSWER: usize = rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH;

/// The longest notification that is read: log messages and progress go to many sessions.
pub const LONGEST_NOTIFICATION: usize = 256 << 10;

/// The longest message that is read: less if this program may use little memory.
pub fn longest_answer() -> usize {
    static LONGEST: OnceLock<usize> = OnceLock::new();
    *LONGEST.get_or_init(|| within(memory::address_space()))
}

/// A message exists several times on its way to the client, and a failed allocation ends the program.
fn within(address_space: Option<u64>) -> usize {
    const PARTS: u64 = 64;
    const LEAST: usize = 256 << 10;
    let part = address_space.map_or(u64::MAX, |limit| limit / PARTS);
    usize::try_from(part).unwrap_or(usize::MAX).clamp(LEAST, LONGEST_ANSWER)
}

/// The error for the caller of a longer response.
pub fn too_long(limit: usize) -> String {
    let (number, unit) = if limit < 1 << 20 { (limit >> 10, "KiB") } else { (limit >> 20, "MiB") };
    format!("the server's response exceeds {number} {unit}; request less at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_shortens_the_longest_message() {
        for (limit, longest) in [
            (None, LONGEST_ANSWER),
            (Some(1 << 40), LONGEST_ANSWER),
            (Some(256 << 20), 4 << 20),
            (Some(64 << 20), 1 << 20),
            (Some(0), 256 << 10),
        ] {
            assert_eq!(within(limit), longest, "{limit:?}");
        }
        assert!(too_long(256 << 10).contains("256 KiB") && too_long(4 << 20).contains("4 MiB"));
    }
}
