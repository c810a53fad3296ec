//! The menu where no panel shows it: what a second start of this program brings up.

#[cfg_attr(any(windows, target_os = "macos"), path = "menu.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod window;

pub use window::StatusWindow;
