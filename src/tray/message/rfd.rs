//! The system's own message window.

use rfd::{MessageButtons, MessageDialog, MessageDialogResult, MessageLevel};

use super::Message;
use crate::contract::names;

/// Shows the sentence and waits until the user closes the window. Only before the event loop starts.
pub fn tell_in_a_window(sentence: &str) {
    MessageDialog::new().set_level(MessageLevel::Error).set_title(names::PRODUCT).set_description(sentence).show();
}

/// Shows the message. Calls `confirmed` if the user chooses the confirm button. Main thread only.
pub fn show(message: &Message, confirmed: impl FnOnce() + Send + 'static) {
    let (buttons, decides) = match message.confirm {
        Some(word) => (MessageButtons::OkCancelCustom(word.to_owned(), "Cancel".to_owned()), Some(word)),
        None => (MessageButtons::Ok, None),
    };
    let dialog = MessageDialog::new().set_title(&message.title).set_description(&message.text).set_buttons(buttons);
    let ask = move || {
        let agreed = match dialog.show() {
            MessageDialogResult::Custom(word) => Some(word.as_str()) == decides,
            result => decides.is_some() && result == MessageDialogResult::Ok,
        };
        if agreed {
            confirmed();
        }
    };
    // AppKit's windows belong to the main thread; a window of Windows would block the tray's loop.
    #[cfg(target_os = "macos")]
    crate::tray::next_turn::on_next_turn(ask);
    #[cfg(not(target_os = "macos"))]
    if let Err(error) = std::thread::Builder::new().name("message".to_owned()).spawn(ask) {
        tracing::warn!("could not show a message: {error}");
    }
}
