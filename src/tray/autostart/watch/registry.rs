//! Watches the two keys that say whether Windows starts us. Nothing is polled: the registry tells a waiting thread.

use std::io;
use std::ptr;
use std::sync::Arc;
use std::thread::JoinHandle;

use windows_registry::{CURRENT_USER, Key};
use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Registry::{
    REG_NOTIFY_CHANGE_LAST_SET, REG_NOTIFY_CHANGE_NAME, RegNotifyChangeKeyValue,
};
use windows_sys::Win32::System::Threading::{CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects};

use crate::tray::autostart::{Autostart, windows};

/// The watch; it ends when this is dropped.
pub struct Watch {
    ended: Option<Arc<Signal>>,
    thread: Option<JoinHandle<()>>,
}

/// Calls `changed`, on a thread of its own, whenever a value of those keys comes, goes or changes, and
/// once when it begins to watch.
pub fn watch_entry(_autostart: &Autostart, changed: impl Fn() + Send + 'static) -> Watch {
    match begin(changed) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!("launch at login is not watched: {error}");
            Watch {
                ended: None,
                thread: None,
            }
        }
    }
}

fn begin(changed: impl Fn() + Send + 'static) -> io::Result<Watch> {
    let (ended, told) = (Arc::new(Signal::new()?), [Signal::new()?, Signal::new()?]);
    let end = ended.clone();
    let follow = move || {
        let handles = [end.0, told[0].0, told[1].0];
        // Created where it is missing: a key that is not there cannot be watched, and an empty one says nothing.
        let keys = [windows::RUN, windows::APPROVED].map(|path| CURRENT_USER.create(path));
        for (key, signal) in keys.iter().zip(&told) {
            tell(key, signal);
        }
        // What changed since the caller looked, and before this, is told by nobody else.
        changed();
        loop {
            // SAFETY: three events that live until this thread ends.
            let woken = unsafe { WaitForMultipleObjects(3, handles.as_ptr(), 0, INFINITE) };
            let index = woken.wrapping_sub(WAIT_OBJECT_0).wrapping_sub(1) as usize;
            let (Some(key), Some(signal)) = (keys.get(index), told.get(index)) else { return };
            // Asked for anew before anybody looks: what changes meanwhile is told again.
            tell(key, signal);
            changed();
        }
    };
    let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(follow)?;
    Ok(Watch {
        ended: Some(ended),
        thread: Some(thread),
    })
}

/// Asks for one word on the next change of the key's values.
fn tell(key: &windows_registry::Result<Key>, signal: &Signal) {
    let what = REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET;
    let told = key.as_ref().map_err(ToString::to_string).and_then(|key| {
        // SAFETY: key and event are open; the call returns at once.
        match unsafe { RegNotifyChangeKeyValue(key.as_raw(), 0, what, signal.0, 1) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error.cast_signed()).to_string()),
        }
    });
    if let Err(error) = told {
        tracing::warn!("changes of launch at login in the system's settings are not seen: {error}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let (Some(ended), Some(thread)) = (self.ended.take(), self.thread.take()) {
            // SAFETY: the event is open for as long as this value is.
            unsafe { SetEvent(ended.0) };
            let _ = thread.join();
        }
    }
}

/// An event of the kernel that falls back by itself.
struct Signal(HANDLE);

// SAFETY: a kernel handle may be used from every thread.
unsafe impl Send for Signal {}
// SAFETY: the same; it is never changed.
unsafe impl Sync for Signal {}

impl Signal {
    fn new() -> io::Result<Signal> {
        // SAFETY: no name and no security attributes are given.
        let event = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
        if event.is_null() { Err(io::Error::last_os_error()) } else { Ok(Signal(event)) }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and closed once.
        unsafe { CloseHandle(self.0) };
    }
}
