//! The message window for GTK, on this thread: rfd runs GTK on a thread of its own, which sometimes made the process
//! hang at exit.

use gtk::prelude::*;

use super::{Message, details};
use crate::contract::names;

/// Shows the sentence and waits until the user closes the window. Only before the event loop starts.
pub fn tell_in_a_window(sentence: &str) {
    if gtk::init().is_err() {
        return;
    }
    let dialog = dialog(gtk::MessageType::Error, names::PRODUCT, sentence);
    dialog.add_button("Close", gtk::ResponseType::Close);
    dialog.run();
    dialog.close();
}

/// Shows the message and returns immediately. Calls `confirmed` if the user chooses the confirm button. Main thread
/// only.
pub fn show(message: &Message, confirmed: impl FnOnce() + Send + 'static) {
    // The type is `Other` because assistive technology announces other types as "Information" instead of by title.
    let dialog = dialog(gtk::MessageType::Other, &message.title, &message.text);
    match message.confirm {
        Some(word) => {
            dialog.add_button("Cancel", gtk::ResponseType::Cancel);
            dialog.add_button(word, gtk::ResponseType::Accept);
        }
        None => drop(dialog.add_button("Close", gtk::ResponseType::Cancel)),
    }
    details::add(&dialog, message);
    // Pressing Return by accident must give the safe answer.
    dialog.set_default_response(gtk::ResponseType::Cancel);
    let confirmed = std::cell::Cell::new(Some(confirmed));
    dialog.connect_response(move |dialog, response| {
        if let (gtk::ResponseType::Accept, Some(confirmed)) = (response, confirmed.take()) {
            confirmed();
        }
        dialog.close();
    });
    dialog.show_all();
    if let Some(careful) = dialog.widget_for_response(gtk::ResponseType::Cancel) {
        careful.grab_focus();
    }
    dialog.present();
}

fn dialog(kind: gtk::MessageType, title: &str, text: &str) -> gtk::MessageDialog {
    let flags = gtk::DialogFlags::empty();
    let dialog = gtk::MessageDialog::new(None::<&gtk::Window>, flags, kind, gtk::ButtonsType::None, title);
    dialog.set_title(title);
    dialog.set_secondary_text(Some(text));
    dialog.set_position(gtk::WindowPosition::Center);
    dialog
}
