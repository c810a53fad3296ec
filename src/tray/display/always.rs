//! The display is part of the system.

/// Nothing to open.
///
/// # Errors
/// None.
pub fn open_display() -> Result<(), String> {
    Ok(())
}
