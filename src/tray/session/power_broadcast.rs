//! Hears Windows' word that the computer woke, by a window that nobody sees: the word goes to windows only.

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
    /// What is to be called; windows have no room for a closure.
    static WOKE: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// The watch; it ends when this is dropped.
pub struct Watch(HWND);

/// Calls `woke` whenever the computer comes out of its sleep. Main thread only: its loop brings the word.
pub fn watch_session(woke: impl Fn() + 'static) -> Watch {
    WOKE.set(Some(Box::new(woke)));
    let class = w!("MCPProxy session");
    // SAFETY: the strings live for ever, and so does `heard`, which the class names. A window for messages only would not do:
    // broadcasts pass it by.
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
        // SAFETY: the window is ours, of this thread, and destroyed once; none is destroyed where there is none.
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
    // SAFETY: what the system gave is passed on as it came.
    unsafe { DefWindowProcW(window, message, what, more) }
}
