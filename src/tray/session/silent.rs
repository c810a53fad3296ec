//! Windows and Linux need none of this: their login entries pass an argument, and they do not suspend idle programs.

/// Whether the system itself reports that it made this start at login.
pub fn launched_at_login() -> bool {
    false
}

/// Has no state.
#[derive(Debug, Default)]
pub struct Promptness(());

impl Promptness {
    /// Does nothing.
    pub fn hold(&mut self, _wanted: bool) {}
}
