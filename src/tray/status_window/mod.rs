//! The menu in a window, for desktops whose panel shows no icon. A second start of this program opens it.

#[cfg_attr(any(windows, target_os = "macos"), path = "menu.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod window;

pub(super) use window::StatusWindow;
