//! A few sentences in a window of its own, with at most one decision to take.

#[cfg_attr(any(windows, target_os = "macos"), path = "rfd.rs")]
#[cfg_attr(not(any(windows, target_os = "macos")), path = "gtk.rs")]
mod window;

pub use window::{show, tell_in_a_window};

/// What a window says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub title: String,
    pub text: String,
    /// The button that decides; without one there is nothing to decide. Closing the window decides nothing.
    pub confirm: Option<&'static str>,
}
