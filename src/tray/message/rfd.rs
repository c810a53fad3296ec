//! The system's own message window.

use rfd::{MessageButtons, MessageDialog, MessageDialogResult, MessageLevel};

use super::{Message, PlainWindow};
use crate::contract::names;

/// Shows the sentence and waits until the user closes the window. Only before the event loop starts.
pub fn tell_in_a_window(sentence: &str) {
    MessageDialog::new().set_level(MessageLevel::Error).set_title(names::PRODUCT).set_description(sentence).show();
}

/// Shows the message. Calls `confirmed` if the user chooses the confirm button. Main thread only.
pub fn show(message: &Message, confirmed: impl FnOnce() + Send + 'static) {
    let windows = message.plain_windows();
    let ask = move || {
        if windows.iter().all(ask_in) {
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

/// Shows one window; `true` if the user chose the confirm button.
fn ask_in(window: &PlainWindow) -> bool {
    let buttons = match window.confirm {
        Some(word) => MessageButtons::OkCancelCustom(word.to_owned(), "Cancel".to_owned()),
        None => MessageButtons::Ok,
    };
    let dialog = MessageDialog::new().set_title(&window.title).set_description(&window.text).set_buttons(buttons);
    match (dialog.show(), window.confirm) {
        (_, None) => false,
        (MessageDialogResult::Custom(chosen), Some(word)) => chosen == word,
        (result, Some(_)) => result == MessageDialogResult::Ok,
    }
}
