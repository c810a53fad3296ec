//! Whether anything here shows tray icons.

#[cfg_attr(any(windows, target_os = "macos"), path = "always.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gio.rs")]
mod watch_host;

pub use watch_host::watch;

/// What a person reads when nothing shows tray icons.
pub const MISSING: &str = "nothing on this desktop shows tray icons: MCPProxy runs without one until something does. On \
                           GNOME install the AppIndicator extension, elsewhere a panel with a status notifier";
