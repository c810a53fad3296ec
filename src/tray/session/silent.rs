//! Nothing of the kind here: the login entry passes an argument, and quiet programs are let be.

/// Whether the system says by itself that it made this start at login.
pub fn launched_at_login() -> bool {
    false
}

/// Nothing to ask for.
#[derive(Debug, Default)]
pub struct Promptness(());

impl Promptness {
    /// Does nothing.
    pub fn hold(&mut self, _wanted: bool) {}
}
