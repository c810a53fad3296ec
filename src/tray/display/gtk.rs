//! Opens the display by GTK.

/// Opens the display that the environment names. The event loop would do it too, and panic where it cannot.
///
/// # Errors
/// A sentence.
pub fn open_display() -> Result<(), String> {
    gtk::init().map_err(|_| "the display that DISPLAY or WAYLAND_DISPLAY names cannot be opened".to_owned())
}
