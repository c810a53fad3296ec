//! The first-run window of GTK.

use gtk::prelude::*;

use super::{Answer, BOX, BUTTON, PURPOSE, Question, STATISTICS, TITLE};

/// Shows the window and returns at once; `answer` is called when the person is done with it. Main thread only.
pub fn ask(question: Question, answer: impl FnOnce(Answer) + Send + 'static) {
    // Of type "other": else assistive technology announces the window as "Information" and not by its title.
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
    // The message area is a box of GTK's own; where it is not, the question cannot be put.
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
    // Else the keyboard is with the text, which can be marked.
    button.grab_focus();
    dialog.present();
}
