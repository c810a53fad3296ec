//! Reads from Windows the environment that a program would get after the next login. Explorer and its children may have
//! an older one.

use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::Security::TOKEN_QUERY;
use windows_sys::Win32::System::Environment::{CreateEnvironmentBlock, DestroyEnvironmentBlock};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::path_among;

/// The entries of PATH, the computer's and then the user's, as the registry has them now. Windows has no shell to ask.
pub async fn capture(_shell: &Path, _home: &Path, _limit: Duration) -> Option<Vec<PathBuf>> {
    let path = path_among(variables()?)?;
    Some(std::env::split_paths(&path).collect())
}

fn variables() -> Option<Vec<OsString>> {
    let (mut token, mut block) = (ptr::null_mut(), ptr::null_mut());
    let mut variables = Vec::new();
    // SAFETY: token and block are used only after the call that creates them has succeeded, and released once. The
    // block is a sequence of null-terminated strings that ends with an empty one.
    unsafe {
        if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) == 0 {
            tracing::warn!("could not determine this user's PATH: {}", std::io::Error::last_os_error());
            return None;
        }
        let made = CreateEnvironmentBlock(&raw mut block, token, 0);
        if made == 0 {
            tracing::warn!("could not determine this user's PATH: {}", std::io::Error::last_os_error());
        }
        CloseHandle(token);
        if made == 0 {
            return None;
        }
        let mut at = block.cast::<u16>().cast_const();
        while *at != 0 {
            let length = (0..).take_while(|index| *at.add(*index) != 0).count();
            variables.push(OsString::from_wide(std::slice::from_raw_parts(at, length)));
            at = at.add(length + 1);
        }
        DestroyEnvironmentBlock(block);
    }
    Some(variables)
}
