//! Local streams on Windows: a named pipe that only the current user can access.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::time::Duration;

use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::{CloseHandle, ERROR_ACCESS_DENIED, ERROR_PIPE_BUSY, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::BindError;
use crate::contract::endpoint::LocalAddress;

pub type ClientStream = NamedPipeClient;
pub type ServerStream = NamedPipeServer;

/// Connects; waits at most 2 s for a pipe whose instances are all busy.
///
/// # Errors
/// The pipe could not be opened.
pub async fn connect(address: &LocalAddress) -> io::Result<ClientStream> {
    let LocalAddress::Pipe(name) = address else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    for _ in 0..40 {
        match ClientOptions::new().open(name) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed()) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Listens on a named pipe; one instance always waits for the next client.
pub struct LocalListener {
    name: String,
    waiting: NamedPipeServer,
}

impl LocalListener {
    /// Listens.
    ///
    /// # Errors
    /// [`BindError`]; [`BindError::InUse`] if the pipe exists.
    pub async fn bind(address: &LocalAddress) -> Result<LocalListener, BindError> {
        let LocalAddress::Pipe(name) = address else {
            return Err(BindError::Unusable(address.clone()));
        };
        match new_instance(name, true) {
            Ok(waiting) => Ok(LocalListener {
                name: name.clone(),
                waiting,
            }),
            Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => {
                Err(BindError::InUse(address.clone()))
            }
            Err(source) => Err(BindError::Io {
                address: address.clone(),
                source,
            }),
        }
    }

    /// The next stream. The access list admits only this user.
    pub async fn accept(&mut self) -> ServerStream {
        loop {
            let connected = self.waiting.connect().await;
            match (connected, new_instance(&self.name, false)) {
                (Ok(()), Ok(next)) => return std::mem::replace(&mut self.waiting, next),
                (Err(error), Ok(next)) => {
                    tracing::warn!("a client of the pipe left before it was served: {error}");
                    self.waiting = next;
                }
                (_, Err(error)) => {
                    tracing::warn!("could not create another instance of the pipe: {error}");
                    let _ = self.waiting.disconnect();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn new_instance(name: &str, first: bool) -> io::Result<NamedPipeServer> {
    let descriptor = Descriptor::for_current_user()?;
    let mut attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor.0,
        bInheritHandle: 0,
    };
    // SAFETY: the attributes and the descriptor they point to outlive the call.
    unsafe {
        ServerOptions::new()
            .first_pipe_instance(first)
            .create_with_security_attributes_raw(name, (&raw mut attributes).cast::<c_void>())
    }
}

/// A security descriptor that Windows allocated.
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    /// Full access for the user of this process, protected from inherited entries.
    fn for_current_user() -> io::Result<Descriptor> {
        let mut sddl: Vec<u16> = "D:P(A;;GA;;;".encode_utf16().collect();
        sddl.extend(current_user_sid()?);
        sddl.extend(")\0".encode_utf16());
        let mut descriptor = ptr::null_mut();
        // SAFETY: the string ends with a NUL, and the result is freed by `Drop`.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if made == 0 { Err(io::Error::last_os_error()) } else { Ok(Descriptor(descriptor)) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: allocated by Windows for us, freed once.
        unsafe { LocalFree(self.0) };
    }
}

fn current_user_sid() -> io::Result<Vec<u16>> {
    // SAFETY: the buffer is aligned and large enough for any SID (68 bytes) with its header; handles and the string are
    // released on every path.
    unsafe {
        let mut token: HANDLE = ptr::null_mut();
        if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut buffer = [0u64; 32];
        let mut length = 0;
        let size = size_of_val(&buffer) as u32;
        let read = GetTokenInformation(token, TokenUser, buffer.as_mut_ptr().cast(), size, &raw mut length);
        CloseHandle(token);
        if read == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut text: *mut u16 = ptr::null_mut();
        if ConvertSidToStringSidW((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid, &raw mut text) == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut sid = Vec::new();
        while *text.add(sid.len()) != 0 {
            sid.push(*text.add(sid.len()));
        }
        LocalFree(text.cast());
        Ok(sid)
    }
}
