//! The window of GTK, on this thread: rfd would run GTK on one of its own, and the process then hung at its exit now and
//! then.

use gtk::prelude::*;

use crate::contract::names;

/// Shows the sentence and waits until the window is closed. Only before the event loop.
pub fn tell_in_a_window(sentence: &str) {
    if gtk::init().is_err() {
        return;
    }
    let dialog = gtk::MessageDialog::new(
        None::<&gtk::Window>,
        gtk::DialogFlags::empty(),
        gtk::MessageType::Error,
        gtk::ButtonsType::Close,
        names::PRODUCT,
    );
    dialog.set_title(names::PRODUCT);
    dialog.set_secondary_text(Some(sentence));
    dialog.set_position(gtk::WindowPosition::Center);
    dialog.run();
    dialog.close();
}
