//! Follows the owner of the tray host's name on the session bus, without polling.

use gtk::gio::{self, BusType, Cancellable, DBusCallFlags, DBusConnection, DBusSignalFlags};
use gtk::glib::{Variant, VariantTy};
use gtk::prelude::*;

const HOST: &str = "org.kde.StatusNotifierWatcher";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Calls `seen` now and at every change while this process runs. Main thread only.
///
/// Checks only the owner of the name, because `IsStatusNotifierHostRegistered` is always true on the common desktops.
/// Does not use `gio::bus_watch_name`, whose binding aborts the process without a bus.
pub(crate) fn watch(seen: impl Fn(bool) + Send + Sync + Clone + 'static) {
    gio::bus_get(BusType::Session, None::<&Cancellable>, move |bus| match bus {
        Ok(bus) => follow(&bus, seen),
        Err(_) => seen(false),
    });
}

fn follow(bus: &DBusConnection, seen: impl Fn(bool) + Clone + 'static) {
    let changed = seen.clone();
    // Subscribes before it asks, so that it misses no change in between.
    bus.signal_subscribe(
        Some(BUS),
        Some(BUS),
        Some("NameOwnerChanged"),
        Some(BUS_PATH),
        Some(HOST),
        DBusSignalFlags::NONE,
        move |_, _, _, _, _, arguments| {
            if let Some((_, _, owner)) = arguments.get::<(String, String, String)>() {
                changed(!owner.is_empty());
            }
        },
    );
    let question: Variant = (HOST,).to_variant();
    let reply = VariantTy::new("(b)").ok();
    bus.call(
        Some(BUS),
        BUS_PATH,
        BUS,
        "NameHasOwner",
        Some(&question),
        reply,
        DBusCallFlags::NONE,
        5000,
        None::<&Cancellable>,
        move |answer| seen(answer.ok().and_then(|answer| answer.get::<(bool,)>()).is_some_and(|(owned,)| owned)),
    );
}
