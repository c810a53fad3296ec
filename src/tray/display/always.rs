//! Windows and macOS always have a display.

/// Does nothing.
///
/// # Errors
/// None.
pub(crate) fn open_display() -> Result<(), String> {
    Ok(())
}
