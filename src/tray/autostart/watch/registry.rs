//! Watches the two registry keys that decide whether Windows starts MCPProxy. A thread waits for notifications; nothing
//! is polled.

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

/// The watch. Dropping it ends it.
pub(crate) struct Watch {
    ended: Option<Arc<Signal>>,
    thread: Option<JoinHandle<()>>,
}

/// Calls `changed`, on its own thread, whenever a value of those keys is created, deleted or modified, and once at the
/// start.
pub(crate) fn watch_entry(_autostart: &Autostart, changed: impl Fn() + Send + 'static) -> Watch {
    match begin(changed) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!("could not watch launch at login: {error}");
            Watch {
                ended: None,
                thread: None,
            }
        }
    }
}

fn begin(changed: impl Fn() + Send + 'static) -> io::Result<Watch> {
    let (ended, signals) = (Arc::new(Signal::new()?), [Signal::new()?, Signal::new()?]);
    let end = ended.clone();
    let follow = move || {
        let handles = [end.0, signals[0].0, signals[1].0];
        // Creates missing keys: only an existing key can be watched, and an empty one changes nothing.
        let keys = [windows::RUN, windows::APPROVED].map(|path| CURRENT_USER.create(path));
        for (key, signal) in keys.iter().zip(&signals) {
            tell(key, signal);
        }
        // No notification covers a change between the caller's read and the registration above.
        changed();
        loop {
            // SAFETY: three events that live until this thread ends.
            let woken = unsafe { WaitForMultipleObjects(3, handles.as_ptr(), 0, INFINITE) };
            let index = woken.wrapping_sub(WAIT_OBJECT_0).wrapping_sub(1) as usize;
            let (Some(key), Some(signal)) = (keys.get(index), signals.get(index)) else { return };
            // Registers again before reading, to get another notification for changes in the meantime.
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

/// Registers for one notification of the next change to the key's values.
fn tell(key: &windows_registry::Result<Key>, signal: &Signal) {
    let what = REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET;
    let registered = key.as_ref().map_err(ToString::to_string).and_then(|key| {
        // SAFETY: key and event are open; the call returns immediately.
        match unsafe { RegNotifyChangeKeyValue(key.as_raw(), 0, what, signal.0, 1) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error.cast_signed()).to_string()),
        }
    });
    if let Err(error) = registered {
        tracing::warn!("could not watch the system's settings for launch at login: {error}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let (Some(ended), Some(thread)) = (self.ended.take(), self.thread.take()) {
            // SAFETY: the event stays open while this value lives.
            unsafe { SetEvent(ended.0) };
            let _ = thread.join();
        }
    }
}

/// An auto-reset event of the kernel.
struct Signal(HANDLE);

// SAFETY: a kernel handle may be used from every thread.
unsafe impl Send for Signal {}
// SAFETY: as above; the handle never changes.
unsafe impl Sync for Signal {}

impl Signal {
    fn new() -> io::Result<Signal> {
        // SAFETY: passes neither a name nor security attributes.
        let event = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
        if event.is_null() { Err(io::Error::last_os_error()) } else { Ok(Signal(event)) }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // SAFETY: we own the handle and close it once.
        unsafe { CloseHandle(self.0) };
    }
}
