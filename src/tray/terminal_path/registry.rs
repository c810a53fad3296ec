//! Reads and writes the user's `Path` value, of any type and length.

use std::path::Path;
use std::ptr;

use windows_registry::{CURRENT_USER, Type};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    HWND_BROADCAST, SMTO_ABORTIFHUNG, SendMessageTimeoutW, WM_SETTINGCHANGE,
};
use windows_sys::w;

use super::entries;

const ENVIRONMENT: &str = "Environment";
const PATH: &str = "Path";

/// Adds the folder to the user's PATH.
///
/// # Errors
/// A sentence with the reason why PATH could not be read or written. It is then unchanged.
pub fn add(folder: &Path) -> Result<(), String> {
    change(|path| entries::with(path, &folder.to_string_lossy()))
}

/// Removes the folder from the user's PATH.
///
/// # Errors
/// As for [`add`].
pub fn remove(folder: &Path) -> Result<(), String> {
    change(|path| entries::without(path, &folder.to_string_lossy()))
}

fn change(edit: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("PATH of this user (registry, `{ENVIRONMENT}`): {error}");
    let key = CURRENT_USER.create(ENVIRONMENT).map_err(|error| failed(&error))?;
    // Creates a missing value with the type that Windows uses.
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
        other => return Err(failed(&format!("expected a string, found {other:?}"))),
    };
    written.map_err(|error| failed(&error))?;
    // Explorer reads it again, and so does every terminal opened from now on.
    // SAFETY: the string is static, the call stores no result, and it does not wait for a window that hangs.
    unsafe {
        let what = w!("Environment").addr() as isize;
        SendMessageTimeoutW(HWND_BROADCAST, WM_SETTINGCHANGE, 0, what, SMTO_ABORTIFHUNG, 1000, ptr::null_mut());
    }
    Ok(())
}
