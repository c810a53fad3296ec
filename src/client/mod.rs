//! Speaks the core's REST, event and MCP interface over an endpoint; used by the tray and the CLI.

mod call;
mod events;
pub mod go_core;
#[cfg(test)]
#[cfg(all(feature = "tray", not(target_os = "macos")))]
mod in_memory;
mod message;

pub use crate::os::sse::Event;
pub use call::{CallError, Client};
pub use events::EventStream;
pub use message::Reply;

/// A server's name as one segment of an address: everything that is not plain is percent-encoded.
pub fn path_segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    // `.` and `..` would be taken for steps in the path.
    if name.chars().all(|c| c == '.') { encoded.replace('.', "%2E") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::path_segment;

    #[test]
    fn any_name_is_one_segment() {
        assert_eq!(path_segment("my-server_1.x~"), "my-server_1.x~");
        assert_eq!(path_segment("a/b ?#%ü"), "a%2Fb%20%3F%23%25%C3%BC");
        assert_eq!(path_segment(".."), "%2E%2E");
    }
}
