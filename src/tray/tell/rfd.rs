//! The system's own message window.

use crate::contract::names;

/// Shows the sentence and waits until the window is closed. Only before the event loop.
pub fn tell_in_a_window(sentence: &str) {
    rfd::MessageDialog::new()
        .set_level(rfd::MessageLevel::Error)
        .set_title(names::PRODUCT)
        .set_description(sentence)
        .show();
}
