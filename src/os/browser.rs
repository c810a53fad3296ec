//! Opens a page in the user's browser.

use std::io;

use super::environment::Environment;

/// Asks the desktop to open a URL. Success does not mean that a page was shown.
///
/// # Errors
/// There is no desktop, or no program that opens pages.
pub fn open_page(address: &str) -> io::Result<()> {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"];
    let there = Environment::read(|name| desktop.contains(&name));
    // Without a desktop the openers would start a browser for the terminal.
    if cfg!(target_os = "linux") && desktop.iter().all(|name| there.non_empty(name).is_none()) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "MCPProxy runs without a desktop"));
    }
    open::that_detached(address)
}
