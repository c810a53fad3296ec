//! One sentence in a window of its own, for whoever started this by a click and sees no terminal.

#[cfg_attr(any(windows, target_os = "macos"), path = "rfd.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod window;

pub use window::tell_in_a_window;
