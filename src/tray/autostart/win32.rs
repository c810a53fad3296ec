//! Reads and writes the registry values of launch at login, of the current user only.

use std::path::Path;
use std::ptr;

use auto_launch::{AutoLaunch, WindowsEnableMode};
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, ERROR_SUCCESS};
use windows_sys::Win32::System::Registry::{
    HKEY_CURRENT_USER, REG_SZ, RRF_RT_REG_BINARY, RRF_RT_REG_SZ, RegDeleteKeyValueW, RegGetValueW, RegSetKeyValueW,
};

use super::{Consent, Status, windows};
use crate::contract::names;
use crate::os::environment::Environment;

/// This person's registry values.
#[derive(Debug, Clone)]
pub struct System {
    program: Result<String, String>,
}

impl System {
    /// The values for `program`.
    pub fn new(program: Result<String, String>, _home: &Path, _environment: &Environment) -> System {
        System { program }
    }

    /// What Windows would do at the next login.
    pub fn status(&self) -> Status {
        if let Err(why) = &self.program {
            return Status::Impossible(why.clone());
        }
        let run = read(windows::RUN_KEY, RRF_RT_REG_SZ).map(text);
        let approved = read(windows::APPROVED_KEY, RRF_RT_REG_BINARY);
        windows::status(run.as_deref(), approved.as_deref())
    }

    /// Starts MCPProxy at every login from now on.
    ///
    /// `auto-launch` writes path and arguments as they are: the path goes in quoted. Its default mode would write for
    /// all users when this one is an administrator. It also sets `StartupApproved` to "on", which is right here:
    /// this is only reached from [`Status::Disabled`], where no "off" of the person stands.
    ///
    /// # Errors
    /// What Windows says.
    pub fn enable(&self, _consent: Consent) -> Result<(), String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        AutoLaunch::new(
            names::RUN_VALUE,
            &windows::quoted(program),
            WindowsEnableMode::CurrentUser,
            &[names::AUTOSTART_ARGUMENT],
        )
        .enable()
        .map_err(|error| format!("cannot write the `Run` value: {error}"))
    }

    /// No longer starts MCPProxy at login, and leaves no value behind.
    ///
    /// # Errors
    /// What Windows says.
    pub fn disable(&self) -> Result<(), String> {
        // Not by `auto-launch`: it opens the values of all users for writing, and leaves the approval behind.
        delete(windows::RUN_KEY)?;
        delete(windows::APPROVED_KEY)
    }

    /// Corrects the path in our own value after the program was moved; enables nothing.
    ///
    /// # Errors
    /// What Windows says.
    pub fn correct(&self) -> Result<(), String> {
        let (Ok(program), Some(run)) = (&self.program, read(windows::RUN_KEY, RRF_RT_REG_SZ).map(text)) else {
            return Ok(());
        };
        if !windows::is_stale(&run, program, |old| Path::new(old).exists()) {
            return Ok(());
        }
        // Not by `auto-launch`: it would also switch on again what the person switched off.
        let (key, name, value) = (wide(windows::RUN_KEY), wide(names::RUN_VALUE), wide(&windows::run_value(program)));
        let bytes = u32::try_from(value.len() * 2).unwrap_or(u32::MAX);
        // SAFETY: three texts that end with a NUL and outlive the call; the length is that of the value in bytes.
        let result = unsafe {
            RegSetKeyValueW(HKEY_CURRENT_USER, key.as_ptr(), name.as_ptr(), REG_SZ, value.as_ptr().cast(), bytes)
        };
        if result == ERROR_SUCCESS {
            Ok(())
        } else {
            Err(told("correct the `Run` value", result))
        }
    }

    /// Where the person can change it, when this program cannot.
    pub fn settings(&self) -> String {
        windows::SETTINGS.to_owned()
    }
}

fn read(key: &str, kind: u32) -> Option<Vec<u8>> {
    let (key, name) = (wide(key), wide(names::RUN_VALUE));
    // No path is longer than 32767 units, and a longer value is not ours.
    let mut bytes = vec![0_u8; 66_000];
    let mut length = u32::try_from(bytes.len()).unwrap_or_default();
    // SAFETY: both texts end with a NUL, and `length` is the size of the buffer.
    let result = unsafe {
        RegGetValueW(
            HKEY_CURRENT_USER,
            key.as_ptr(),
            name.as_ptr(),
            kind,
            ptr::null_mut(),
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    bytes.truncate(usize::try_from(length).unwrap_or_default());
    (result == ERROR_SUCCESS).then_some(bytes)
}

fn delete(key: &str) -> Result<(), String> {
    let (key, name) = (wide(key), wide(names::RUN_VALUE));
    // SAFETY: both texts end with a NUL and outlive the call.
    match unsafe { RegDeleteKeyValueW(HKEY_CURRENT_USER, key.as_ptr(), name.as_ptr()) } {
        ERROR_SUCCESS | ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => Ok(()),
        error => Err(told("remove the value of launch at login", error)),
    }
}

fn told(deed: &str, error: u32) -> String {
    format!("cannot {deed}: {}", std::io::Error::from_raw_os_error(error.cast_signed()))
}

fn text(bytes: Vec<u8>) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
