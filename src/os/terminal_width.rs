//! The width of the terminal to which standard output goes.

/// The number of columns; `None` if standard output is not a terminal, or its width is not known.
#[cfg(unix)]
pub fn of_standard_output() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// `None`: the console wraps lines that are too long.
#[cfg(not(unix))]
pub fn of_standard_output() -> Option<u16> {
    None
}
