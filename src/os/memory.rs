//! Memory that is free here, but not yet for other programs.

/// Gives free memory back to the system. GNU's allocator keeps what lies between things in use, which after a thousand sessions is
/// most of what they took; elsewhere the allocator does so by itself.
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
