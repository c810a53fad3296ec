//! Not watched here yet: the state is read at the start and with every click.

use crate::tray::autostart::Autostart;

/// Nothing to keep.
pub struct Watch;

/// Calls `changed` never.
pub fn watch_entry(_autostart: &Autostart, _changed: impl Fn() + 'static) -> Watch {
    Watch
}
