//! The width of the terminal that standard output is.

/// The number of columns; `None` if standard output is not a terminal, or its width is not known.
#[cfg(unix)]
pub fn of_standard_output() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// `None`: lines that are too long are wrapped by the console.
#[cfg(not(unix))]
pub fn of_standard_output() -> Option<u16> {
    None
}
