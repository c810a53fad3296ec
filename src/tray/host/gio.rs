//! Follows the owner of the tray host's name on the session bus. Nothing is polled: the bus tells.

/// Calls `seen` now and at every change, for as long as this process runs. Main thread only.
///
/// The name's owner alone counts: `IsStatusNotifierHostRegistered` is always true on the common desktops.
pub fn watch(seen: impl Fn(bool) + Send + Sync + Clone + 'static) {
    let gone = seen.clone();
    let _for_ever = gtk::gio::bus_watch_name(
        gtk::gio::BusType::Session,
        "org.kde.StatusNotifierWatcher",
        gtk::gio::BusNameWatcherFlags::NONE,
        move |_, _, _| seen(true),
        move |_, _| gone(false),
    );
}
