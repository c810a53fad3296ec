//! The first-run window for GTK.

use gtk::prelude::*;

use super::{Answer, BOX, BUTTON, PURPOSE, Question, STATISTICS, TITLE};

/// Shows the window and returns immediately. Calls `answer` when the user is done. Main thread only.
pub fn ask(question: Question, answer: impl FnOnce(Answer) + Send + 'static) {
    // The type is `Other` because assistive technology announces other types as "Information" instead of by title.
    let dialog = gtk::MessageDialog::new(
        None::<&gtk::Window>,
        gtk::DialogFlags::empty(),
        gtk::MessageType::Other,
        gtk::ButtonsType::None,
        TITLE,
    );
    dialog.set_title(TITLE);
    dialog.set_secondary_text(Some(&format!("{PURPOSE}\n\n{STATISTICS}")));
    let tick = gtk::CheckButton::with_label(BOX);
    tick.set_active(question.ticked);
    // GTK creates the message area as a box; without one the question cannot be shown.
    if let Ok(area) = dialog.message_area().downcast::<gtk::Box>() {
        area.add(&tick);
    }
    let button = dialog.add_button(BUTTON, gtk::ResponseType::Accept);
    dialog.set_default_response(gtk::ResponseType::Accept);
    dialog.set_position(gtk::WindowPosition::Center);
    let answer = std::cell::Cell::new(Some(answer));
    dialog.connect_response(move |dialog, response| {
        if let Some(answer) = answer.take() {
            answer(match response {
                gtk::ResponseType::Accept => Answer::Continue {
                    ticked: tick.is_active(),
                },
                _ => Answer::Closed,
            });
        }
        dialog.close();
    });
    dialog.show_all();
    // Otherwise the text, which is selectable, has the keyboard focus.
    button.grab_focus();
    dialog.present();
}
