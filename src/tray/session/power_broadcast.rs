//! Receives Windows' wake message with a hidden window: Windows sends it only to windows.

use std::cell::RefCell;
use std::ptr;

use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DefWindowProcW, DestroyWindow, PBT_APMRESUMEAUTOMATIC, RegisterClassW, WM_POWERBROADCAST,
    WNDCLASSW, WS_POPUP,
};
use windows_sys::w;

thread_local! {
    /// The callback. A window has no room for a closure.
    static WOKE: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// The watch. Dropping it ends it.
pub struct Watch(HWND);

/// Calls `woke` whenever the computer wakes from sleep. Main thread only, because its message loop receives the
/// message.
pub fn watch_session(woke: impl Fn() + 'static) -> Watch {
    WOKE.set(Some(Box::new(woke)));
    let class = w!("MCPProxy session");
    // SAFETY: the strings are static, and so is `heard`, the class's window procedure. A message-only window would not
    // work: it receives no broadcasts.
    let window = unsafe {
        let instance = GetModuleHandleW(ptr::null());
        let of_class = WNDCLASSW {
            lpfnWndProc: Some(heard),
            hInstance: instance,
            lpszClassName: class,
            ..Default::default()
        };
        RegisterClassW(&raw const of_class);
        CreateWindowExW(0, class, class, WS_POPUP, 0, 0, 0, 0, ptr::null_mut(), ptr::null_mut(), instance, ptr::null())
    };
    if window.is_null() {
        tracing::warn!("could not watch for wake from sleep: {}", std::io::Error::last_os_error());
    }
    Watch(window)
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: the window, if it exists, belongs to this thread and is destroyed once.
        unsafe { DestroyWindow(self.0) };
        WOKE.set(None);
    }
}

unsafe extern "system" fn heard(window: HWND, message: u32, what: WPARAM, more: LPARAM) -> LRESULT {
    if message == WM_POWERBROADCAST && what == PBT_APMRESUMEAUTOMATIC as WPARAM {
        tracing::info!("the computer woke up");
        WOKE.with_borrow(|woke| {
            if let Some(woke) = woke {
                woke();
            }
        });
    }
    // SAFETY: passes the system's arguments on unchanged.
    unsafe { DefWindowProcW(window, message, what, more) }
}
