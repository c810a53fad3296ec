//! Watches the autostart entry through the kernel's file notifications, without polling.

use gtk::gio::{self, Cancellable, FileMonitor, FileMonitorFlags};
use gtk::prelude::*;

use crate::tray::autostart::Autostart;

/// The watch. Dropping it ends it.
pub(crate) struct Watch {
    _monitor: Option<FileMonitor>,
}

/// Calls `changed` whenever the entry is created, deleted or modified, and once at the start. Main thread only.
pub(crate) fn watch_entry(autostart: &Autostart, changed: impl Fn() + Send + 'static) -> Watch {
    let file = gio::File::for_path(autostart.entry());
    let monitor = file.monitor_file(FileMonitorFlags::WATCH_MOVES, None::<&Cancellable>);
    match &monitor {
        Ok(monitor) => {
            // No notification covers a change between the caller's read and the start of the watch.
            changed();
            monitor.connect_changed(move |_, _, _, _| changed());
        }
        Err(error) => tracing::warn!("could not watch `{}` for changes: {error}", autostart.entry().display()),
    }
    Watch { _monitor: monitor.ok() }
}
