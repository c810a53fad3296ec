//! Reads and writes this user's `Path`, of whatever kind and length it is.

use std::path::Path;
use std::ptr;

use windows_registry::{CURRENT_USER, Type};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    HWND_BROADCAST, SMTO_ABORTIFHUNG, SendMessageTimeoutW, WM_SETTINGCHANGE,
};
use windows_sys::w;

const ENVIRONMENT: &str = "Environment";
const PATH: &str = "Path";

/// Puts the folder into this user's PATH.
///
/// # Errors
/// A sentence: why it cannot be read or written; it is then as it was.
pub fn add(folder: &Path) -> Result<(), String> {
    change(|path| super::with(path, &folder.to_string_lossy()))
}

/// Takes the folder out of this user's PATH.
///
/// # Errors
/// The same.
pub fn remove(folder: &Path) -> Result<(), String> {
    change(|path| super::without(path, &folder.to_string_lossy()))
}

fn change(edit: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("PATH of this user (registry, `{ENVIRONMENT}`): {error}");
    let key = CURRENT_USER.create(ENVIRONMENT).map_err(|error| failed(&error))?;
    // One that is not there is made as Windows makes it.
    let kind = key.get_type(PATH).unwrap_or(Type::ExpandString);
    let text = match key.get_hstring(PATH) {
        Ok(text) => {
            char::decode_utf16(text.iter().copied()).collect::<Result<String, _>>().map_err(|error| failed(&error))?
        }
        Err(_) if key.get_type(PATH).is_err() => String::new(),
        Err(error) => return Err(failed(&error)),
    };
    let Some(text) = edit(&text) else { return Ok(()) };
    let written = match kind {
        Type::String => key.set_string(PATH, text),
        Type::ExpandString => key.set_expand_string(PATH, text),
        other => return Err(failed(&format!("it is no text but {other:?}"))),
    };
    written.map_err(|error| failed(&error))?;
    // Explorer reads it anew, and with it every terminal that is opened from now on.
    // SAFETY: the text lives for ever, nothing is to be answered, and a window that hangs is not waited for.
    unsafe {
        let what = w!("Environment").addr() as isize;
        SendMessageTimeoutW(HWND_BROADCAST, WM_SETTINGCHANGE, 0, what, SMTO_ABORTIFHUNG, 1000, ptr::null_mut());
    }
    Ok(())
}
