//! Detects that the user changed launch at login in the system's own settings.

#[cfg_attr(windows, path = "registry.rs")]
#[cfg_attr(target_os = "macos", path = "appkit.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gio.rs")]
mod watch_entry;

pub(crate) use watch_entry::watch_entry;
