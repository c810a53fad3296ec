//! The first-run window for GTK.

use gtk::prelude::*;

use super::{
    Answer, BOX, BUTTON, Choice, GET_STARTED, LATER, NEXT_TITLE, NextStep, PURPOSE, Question, STATISTICS, TITLE,
};

/// Shows the window and returns immediately. Calls `answer` when the user is done. Main thread only.
pub fn ask(question: Question, answer: impl FnOnce(Answer) + Send + 'static) {
    let dialog = dialog(TITLE, &format!("{PURPOSE}\n\n{STATISTICS}"));
    let tick = gtk::CheckButton::with_label(BOX);
    tick.set_active(question.ticked);
    // GTK creates the message area as a box; without one the question cannot be shown.
    if let Ok(area) = dialog.message_area().downcast::<gtk::Box>() {
        area.add(&tick);
    }
    let button = dialog.add_button(BUTTON, gtk::ResponseType::Accept);
    dialog.set_default_response(gtk::ResponseType::Accept);
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

/// Shows the second step and returns immediately. Calls `chosen` when the user is done. Main thread only.
pub fn ask_next(step: &NextStep, chosen: impl FnOnce(Choice) + Send + 'static) {
    let dialog = dialog(NEXT_TITLE, &step.text);
    dialog.add_button(LATER, gtk::ResponseType::Cancel);
    let mut first = dialog.add_button(GET_STARTED, gtk::ResponseType::Yes);
    dialog.set_default_response(gtk::ResponseType::Yes);
    if let Some(label) = &step.connect {
        first = dialog.add_button(label, gtk::ResponseType::Accept);
        dialog.set_default_response(gtk::ResponseType::Accept);
    }
    let chosen = std::cell::Cell::new(Some(chosen));
    dialog.connect_response(move |dialog, response| {
        if let Some(chosen) = chosen.take() {
            chosen(match response {
                gtk::ResponseType::Accept => Choice::Connect,
                gtk::ResponseType::Yes => Choice::GetStarted,
                _ => Choice::Later,
            });
        }
        dialog.close();
    });
    dialog.show_all();
    first.grab_focus();
    dialog.present();
}

fn dialog(title: &str, text: &str) -> gtk::MessageDialog {
    // The type is `Other` because assistive technology announces other types as "Information" instead of by title.
    let dialog = gtk::MessageDialog::new(
        None::<&gtk::Window>,
        gtk::DialogFlags::empty(),
        gtk::MessageType::Other,
        gtk::ButtonsType::None,
        title,
    );
    dialog.set_title(title);
    dialog.set_secondary_text(Some(text));
    dialog.set_position(gtk::WindowPosition::Center);
    dialog
}
