//! Whether this desktop shows tray icons.

#[cfg_attr(any(windows, target_os = "macos"), path = "always.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gio.rs")]
mod watch_host;

pub(super) use watch_host::watch;

/// The message for desktops that show no tray icons.
pub(super) const MISSING: &str = "this desktop doesn't show tray icons, so MCPProxy runs without one. On GNOME, \
                                  install the AppIndicator extension; elsewhere, add a panel with a status notifier";
