//! REST paths of servers.

/// The path of a server.
pub fn server_path(name: &str) -> String {
    format!("/api/v1/servers/{}", crate::client::path_segment(name))
}
