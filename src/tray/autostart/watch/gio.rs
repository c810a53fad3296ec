//! Watches the autostart entry. Nothing is polled: the kernel tells.

use gtk::gio::{self, Cancellable, FileMonitor, FileMonitorFlags};
use gtk::prelude::*;

use crate::tray::autostart::Autostart;

/// The watch; it ends when this is dropped.
pub struct Watch {
    _monitor: Option<FileMonitor>,
}

/// Calls `changed` whenever the entry comes, goes or changes, and once when it begins to watch. Main thread only.
pub fn watch_entry(autostart: &Autostart, changed: impl Fn() + Send + 'static) -> Watch {
    let file = gio::File::for_path(autostart.entry());
    let monitor = file.monitor_file(FileMonitorFlags::WATCH_MOVES, None::<&Cancellable>);
    match &monitor {
        Ok(monitor) => {
            // What changed since the caller looked is told by nobody else.
            changed();
            monitor.connect_changed(move |_, _, _, _| changed());
        }
        Err(error) => tracing::warn!("changes of `{}` are not seen: {error}", autostart.entry().display()),
    }
    Watch { _monitor: monitor.ok() }
}
