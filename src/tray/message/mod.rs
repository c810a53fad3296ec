//! A message window with a few sentences and at most one button to confirm.

#[cfg_attr(any(windows, target_os = "macos"), path = "rfd.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod window;

pub use window::{show, tell_in_a_window};

/// The content of a message window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub title: String,
    pub text: String,
    /// The button that confirms; `None` if there is nothing to confirm. Closing the window confirms nothing.
    pub confirm: Option<&'static str>,
}
