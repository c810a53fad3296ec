//! Receives logind's signal that the computer woke, without polling.

use gtk::gio::{self, BusType, Cancellable, DBusSignalFlags};

const LOGIND: &str = "org.freedesktop.login1";

/// Watches for as long as this process runs.
pub struct Watch;

/// Calls `woke` whenever the computer wakes from sleep. Main thread only. Without logind there is no signal; the event
/// stream then shows that the core is gone.
pub fn watch_session(woke: impl Fn() + 'static) -> Watch {
    gio::bus_get(BusType::System, None::<&Cancellable>, move |bus| {
        let Ok(bus) = bus else { return };
        // GLib closes a bus without an owner. The session bus has other owners.
        let held = bus.clone();
        bus.signal_subscribe(
            Some(LOGIND),
            Some("org.freedesktop.login1.Manager"),
            Some("PrepareForSleep"),
            Some("/org/freedesktop/login1"),
            None,
            DBusSignalFlags::NONE,
            move |_, _, _, _, _, arguments| {
                if let (Some((false,)), false) = (arguments.get::<(bool,)>(), held.is_closed()) {
                    tracing::info!("the computer woke up");
                    woke();
                }
            },
        );
    });
    Watch
}
