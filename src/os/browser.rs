//! Opens a page in the person's browser.

use std::io;

use super::environment::Environment;

/// Asks the desktop to open an address; says nothing of what becomes of it there.
///
/// # Errors
/// There is no desktop to ask, or it has nothing to open pages with.
pub fn open_page(address: &str) -> io::Result<()> {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"];
    let there = Environment::read(|name| desktop.contains(&name));
    // Without a desktop the openers look for a browser of the terminal.
    if cfg!(target_os = "linux") && desktop.iter().all(|name| there.non_empty(name).is_none()) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the core runs without a desktop"));
    }
    open::that_detached(address)
}
