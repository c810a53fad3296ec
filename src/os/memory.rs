//! How much memory this program may use, and memory that is free in it, but not yet for others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The limit of this program's address space (`ulimit -v`); `None` without one.
pub fn address_space() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::As).current;
    #[cfg(not(unix))]
    return None;
}

/// Makes a limited address space suffice: the GNU allocator would reserve 64 MiB of it for each thread. Call it before threads
/// start.
pub fn fit_address_space() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if address_space().is_some() {
        const ARENAS: std::ffi::c_int = -8;
        unsafe extern "C" {
            fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        // SAFETY: takes no pointer (mallopt(3)).
        unsafe {
            mallopt(ARENAS, 1);
        }
    }
}

/// Returns free memory to the system in a second, when what a caller still holds is free too. Does nothing outside a runtime.
pub fn give_back_soon() {
    static IS_DUE: AtomicBool = AtomicBool::new(false);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if IS_DUE.swap(true, Ordering::AcqRel) {
        return;
    }
    runtime.spawn(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        IS_DUE.store(false, Ordering::Release);
        let _ = tokio::task::spawn_blocking(give_back).await;
    });
}

/// Returns free memory to the system. The GNU allocator keeps what lies between allocations in use, which after a thousand sessions is most
/// of what they used; other allocators return it by themselves.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: takes no pointer, and may be called at any time from any thread (malloc_trim(3)).
        unsafe {
            malloc_trim(0);
        }
    }
}
