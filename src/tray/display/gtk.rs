//! Opens the display through GTK.

use gtk::gdk_pixbuf::{Colorspace, Pixbuf};
use gtk::glib::Bytes;

use crate::contract::platform::Platform;
use crate::tray::icon;
use crate::tray::model::Mood;

/// Opens the display that the environment names and sets the icon of all windows. The event loop would also open the
/// display, but would panic if that failed.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn open_display() -> Result<(), String> {
    gtk::init().map_err(|_| "could not open the display named by DISPLAY or WAYLAND_DISPLAY".to_owned())?;
    let picture = icon::decode(icon::png(Mood::Normal, Platform::HOST))?;
    let (width, height) = (picture.width.cast_signed(), picture.height.cast_signed());
    let pixels = Bytes::from_owned(picture.rgba);
    // Sets the image itself, not its name: a program that was not installed has no image in the icon theme.
    gtk::Window::set_default_icon(&Pixbuf::from_bytes(&pixels, Colorspace::Rgb, true, 8, width, height, width * 4));
    Ok(())
}
