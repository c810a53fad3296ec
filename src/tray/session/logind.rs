//! Hears logind's word that the computer woke. Nothing is polled: the bus tells.

use gtk::gio::{self, BusType, Cancellable, DBusSignalFlags};

const LOGIND: &str = "org.freedesktop.login1";

/// It is heard for as long as this process runs.
pub struct Watch;

/// Calls `woke` whenever the computer comes out of its sleep. Main thread only. Without logind nobody tells: a core that
/// fell silent is then noticed by its event stream.
pub fn watch_session(woke: impl Fn() + 'static) -> Watch {
    gio::bus_get(BusType::System, None::<&Cancellable>, move |bus| {
        let Ok(bus) = bus else { return };
        // GLib lets go of a bus that nobody holds; the session's has other holders.
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
